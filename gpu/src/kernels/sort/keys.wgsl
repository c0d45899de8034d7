// Keys and positions, and behind them what is greater than all.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    if number >= {{count}} * {{padded}} {
        return;
    }
    let i = number / {{padded}};
    let own = number % {{padded}};
{{places}}    let value = b0[a0 + i32(min(own, {{length}} - 1u)) * {{step}}];
    let key = select(0xffffffffu, key_of(value), own < {{length}});
    b1[number * 2u] = bitcast<i32>(key);
    b1[number * 2u + 1u] = i32(own);
}
