const LANES = {{lanes}}u;

var<workgroup> sums: array<T, 256>;

fn together(workgroup: u32, thread: u32) {
    let lane = thread % LANES;
    let number = workgroup * (256u / LANES) + thread / LANES;
    let exists = number < {{count}};
    let i = min(number, {{count}} - 1u);
{{places}}    var before = T(0);
    // What comes before this part of a line.
    if {{first}} > 0u {
        before = b1[a1 - {{out_step}}];
    }
    for (var first = 0u; first < {{length}}; first += LANES) {
        let j = first + lane;
        let inside = j < {{length}};
        let own = b0[a0 + i32(min(j, {{length}} - 1u)) * {{step}}];
        sums[thread] = select(T(0), own, inside);
        // After the step of size n, each has the sum of 2n elements up to its own.
        for (var n = 1u; n < LANES; n *= 2u) {
            workgroupBarrier();
            let earlier = select(T(0), sums[max(thread, n) - n], lane >= n);
            workgroupBarrier();
            sums[thread] = sums[thread] + earlier;
        }
        workgroupBarrier();
        if exists && inside {
            b1[a1 + i32(j) * {{out_step}}] = before + sums[thread];
        }
        before = before + sums[thread - lane + LANES - 1u];
        workgroupBarrier();
    }
}
