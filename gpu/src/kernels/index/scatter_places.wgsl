// A thread for each element of the target: it looks for what leads to it, in the order of the source.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    if number >= {{count}} * u32({{size}}) {
        return;
    }
    let i = number / u32({{size}});
    let own = i32(number % u32({{size}}));
{{places}}    let at = a0 + own * {{step}};
    var sum = {{out}}[at];
    for (var j = 0; j < {{length}}; j++) {
        let index = {{index}}[a1 + j * {{index_step}}];
        if index == own {
            sum = sum + {{source}}[a2 + j * {{source_step}}];
        }
        if own == 0 && (index < 0 || index >= {{size}}) {
            {{complaint}}[1] = index;
            {{complaint}}[2] = {{size}};
            {{complaint}}[0] = 2;
        }
    }
    {{out}}[at] = sum;
}
