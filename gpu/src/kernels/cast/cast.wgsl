// Towards 0, to the nearest there is; 0 for what is no number.
fn to_integer(x: f32) -> i32 {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    let y = i32(clamp(x, -2147483648.0f, 2147483520.0f));
    return select(select(y, 2147483647, x >= 2147483648.0f), 0, bits > 0x7f800000u);
}

fn to_float(x: i32) -> f32 {
    return f32(x);
}

fn element(i: u32) {
{{places}}    b1[a1] = {{cast}}(b0[a0]);
}
