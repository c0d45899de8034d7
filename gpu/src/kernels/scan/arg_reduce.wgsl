const LANES = {{lanes}}u;

var<workgroup> values: array<T, 256>;
var<workgroup> positions: array<u32, 256>;

// Whether the first of two comes before the second: the first of equals, and the first NaN if any.
fn leads(x: T, i: u32, y: T, j: u32) -> bool {
    let x_is_nan = {{x_is_nan}};
    let y_is_nan = {{y_is_nan}};
    if x_is_nan || y_is_nan {
        return x_is_nan && (!y_is_nan || i < j);
    }
    return x {{beats}} y || (x == y && i < j);
}

fn together(workgroup: u32, thread: u32) {
    let lane = thread % LANES;
    let number = workgroup * (256u / LANES) + thread / LANES;
    let i = min(number, {{count}} - 1u);
{{places}}    var best = min(lane, {{length}} - 1u);
    var value = b0[a0 + i32(best) * {{step}}];
    for (var j = lane + LANES; j < {{length}}; j += LANES) {
        let other = b0[a0 + i32(j) * {{step}}];
        if leads(other, j, value, best) {
            value = other;
            best = j;
        }
    }
{{tree}}    if lane == 0u && number < {{count}} {
        var position = {{first}} + best;
{{earlier}}        b1[{{out}} + i32(number)] = i32(position);
    }
}
