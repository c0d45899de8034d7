const LANES = {{lanes}}u;

var<workgroup> shared_values: array<T, 256>;

fn together(workgroup: u32, thread: u32) {
    let lane = thread % LANES;
    let row = workgroup * (256u / LANES) + thread / LANES;
    let exists = row < {{count}};
    // Threads without a row go along, since all of a workgroup must wait for each other.
    let i = min(row, {{count}} - 1u);
    let length = {{length}};
{{places}}{{body}}}
