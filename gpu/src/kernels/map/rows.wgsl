const LANES = {{lanes}}u;

var<workgroup> shared_values: array<T, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let exists = row < {{count}};
    // Threads without a row go along, since all of a workgroup must wait for each other.
    let i = min(row, {{count}} - 1u);
    let length = {{length}};
{{places}}{{body}}}
