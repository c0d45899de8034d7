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

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let number = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
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
    values[thread] = value;
    positions[thread] = best;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            let other = thread + half;
            if leads(values[other], positions[other], values[thread], positions[thread]) {
                values[thread] = values[other];
                positions[thread] = positions[other];
            }
        }
        workgroupBarrier();
    }
    if lane == 0u && number < {{count}} {
        b1[{{out}} + i32(number)] = i32(positions[thread]);
    }
}
