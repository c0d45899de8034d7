// One step of a bitonic sort (Batcher 1968): pairs `distance` apart, put in order within runs of `run`.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    if number >= parameters[0][0] {
        return;
    }
    let distance = parameters[0][1];
    let run = parameters[0][2];
    let padded = parameters[0][3];
    let first = number / distance * distance * 2u + number % distance;
    let second = first + distance;
    let ascends = ((first % padded) & run) == 0u;
    let key = vec2(bitcast<u32>(b0[first * 2u]), bitcast<u32>(b0[second * 2u]));
    let at = vec2(b0[first * 2u + 1u], b0[second * 2u + 1u]);
    let is_greater = key.x > key.y || (key.x == key.y && at.x > at.y);
    if is_greater == ascends {
        b0[first * 2u] = bitcast<i32>(key.y);
        b0[second * 2u] = bitcast<i32>(key.x);
        b0[first * 2u + 1u] = at.y;
        b0[second * 2u + 1u] = at.x;
    }
}
