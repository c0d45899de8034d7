fn element(i: u32) {
    let width = {{width}};
    let j = i32(i % width);
    let entry = b0[i / width];
{{rows}}{{nodes}}{{writes}}}
