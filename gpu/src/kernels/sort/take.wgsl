// The positions of the first k of each sorted line.
fn element(number: u32) {
    let i = number / {{k}};
    let rank = number % {{k}};
{{places}}    b0[a0 + i32(rank) * {{step}}] = b1[(i * {{padded}} + rank) * 2u + 1u];
}
