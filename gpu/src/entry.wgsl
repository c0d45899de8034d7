@compute @workgroup_size({{threads}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // They are folded into two dimensions; those beyond the work do nothing.
    let workgroup = group.y * groups.x + group.x;
{{call}}}
