// Keys and positions, and behind them what is greater than all.
fn element(number: u32) {
    let i = number / {{padded}};
    let own = number % {{padded}};
{{places}}    let value = b0[a0 + i32(min(own, max({{length}}, 1u) - 1u)) * {{step}}];
    let key = select(0xffffffffu, key_of(value), own < {{length}});
    b1[number * 2u] = bitcast<i32>(key);
    b1[number * 2u + 1u] = i32({{first}} + own);
}
