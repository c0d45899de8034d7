// A thread for each line along the axis: nobody else writes there, so the order is that of the source.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if i >= {{count}} {
        return;
    }
{{places}}    for (var j = 0; j < {{length}}; j++) {
        let index = {{index}}[a1 + j * {{index_step}}];
        if index < 0 || index >= {{size}} {
            {{complaint}}[1] = index;
            {{complaint}}[2] = {{size}};
            {{complaint}}[0] = 2;
            continue;
        }
        let at = a0 + index * {{step}};
        {{out}}[at] = {{out}}[at] + {{source}}[a2 + j * {{source_step}}];
    }
}
