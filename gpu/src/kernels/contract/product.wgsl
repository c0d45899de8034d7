// A tile of ROWS x COLUMNS of the product for each workgroup, DEPTH of the inner loop at a time.
const ROWS = {{rows}}u;
const COLUMNS = {{columns}}u;
const DEPTH = {{depth}}u;

alias V = vec4<E>;

{{memory}}
{{functions}}
fn finish(x: T, batch: u32, row: u32, column: u32, part: u32) {
{{finish}}}

fn together(workgroup: u32, thread: u32) {
    let tiles_across = ({{n}} + COLUMNS - 1u) / COLUMNS;
    let tiles_down = ({{m}} + ROWS - 1u) / ROWS;
    let first_column = workgroup % tiles_across * COLUMNS;
    let first_row = workgroup / tiles_across % tiles_down * ROWS;
    let place = workgroup / (tiles_across * tiles_down);
    // Workgroups beyond the work repeat the last place and write nothing.
    let exists = place < {{batches}} * {{parts}};
    let member = min(place, {{batches}} * {{parts}} - 1u);
    let batch = member % {{batches}};
    let part = member / {{batches}};
    let start = part * {{part}};
    let end = min({{k}}, start + {{part}});
{{prepare}}
{{sums}}
    for (var k = start; k < end; k += DEPTH) {
{{load}}
        workgroupBarrier();
{{multiply}}        workgroupBarrier();
    }
{{write}}}
