// One step of every sequence that has one. The list names a sequence and the row of its step.
fn element(number: u32) {
    let width = {{width}};
    let entry = {{first}} + number / u32(width);
    let j = i32(number % u32(width));
    let sequence = b0[entry * 2u];
    let row = b0[entry * 2u + 1u];
{{nodes}}{{writes}}}
