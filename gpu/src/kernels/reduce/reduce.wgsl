const LANES = {{lanes}}u;
const OUTPUTS = 256u / LANES;

var<workgroup> shared_values: array<T, 256>;

fn together(workgroup: u32, thread: u32) {
    let lane = {{lane}};
    let output = {{output}};
    let number = workgroup * OUTPUTS + output;
    let kept = {{kept}};
    // Threads without an output go along, since all of a workgroup must wait for each other.
    let place = min(number, kept * {{parts}} - 1u);
    let i = place % kept;
    let first_of_part = place / kept * {{part}};
    let end = min({{reduced}}, first_of_part + {{part}});
{{places}}    var sum = {{start}};
    for (var first = first_of_part + lane; first < end; first += {{chain}}u * LANES) {
        var chain = {{start}};
        for (var r = first; r < min(end, first + {{chain}}u * LANES); r += LANES) {
{{inner}}{{nodes}}            chain = {{join_chain}};
        }
        sum = {{join_sum}};
    }
    let at = output * LANES + lane;
{{tree}}    if lane == 0u && number < kept * {{parts}} {
        {{out}}[{{out_offset}} + i32(number)] = sum;
    }
}
