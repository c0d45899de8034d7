// One element of the result: the sum of all products that lead to it.
fn element(number: u32) {
    let reach = {{reach}};
    let i = number / reach;
    let aim = i32(number % reach);
{{batch}}    var sum = T(0);
    var found = false;
    for (var w = 0u; w < {{window}}; w++) {
{{steps}}        var rest = aim - step;
        var at = start;
        at += within;
        var fits = rest >= 0;
{{decode}}        if fits && rest == 0 {
            sum += b0[at];
            found = true;
        }
    }
    if found {
        let place = {{out_offset}} + base + aim;
        b1[place] = b1[place] + sum;
    }
}
