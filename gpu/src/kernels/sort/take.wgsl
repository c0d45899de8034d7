// The first k of each sorted line.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    if number >= {{count}} * {{k}} {
        return;
    }
    let i = number / {{k}};
    let rank = number % {{k}};
{{places}}    let at = b3[(i * {{padded}} + rank) * 2u + 1u];
    b1[a1 + i32(rank) * {{out_step}}] = b0[a0 + at * {{step}}];
    b2[a2 + i32(rank) * {{out_step}}] = at;
}
