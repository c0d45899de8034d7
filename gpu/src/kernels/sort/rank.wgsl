// The place of an element is the number of those before it.
fn element(number: u32) {
    let i = number / {{length}};
    let own = number % {{length}};
{{places}}    let value = b0[a0 + i32(own) * {{step}}];
    let key = key_of(value);
    var rank = 0u;
    for (var j = 0u; j < {{length}}; j++) {
        let other = key_of(b0[a0 + i32(j) * {{step}}]);
        rank += select(0u, 1u, other < key || (other == key && j < own));
    }
    if rank < {{k}} {
        b1[a1 + i32(rank) * {{out_step}}] = value;
        b2[a2 + i32(rank) * {{out_step}}] = i32(own);
    }
}
