// One step of every sequence that has one. The list names a sequence and the row of its step.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    let width = {{width}};
    if number >= {{count}} * u32(width) {
        return;
    }
    let entry = {{first}} + number / u32(width);
    let j = i32(number % u32(width));
    let sequence = b0[entry * 2u];
    let row = b0[entry * 2u + 1u];
{{nodes}}{{writes}}}
