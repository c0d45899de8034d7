// A thread for each element of the target: it looks for what leads to it, in the order of the source.
fn element(number: u32) {
    let n_places = u32({{end}} - {{first}});
    let i = number / n_places;
    let own = i32(number % n_places);
{{places}}    let at = a0 + own * {{step}};
    var sum = {{out}}[at];
    for (var j = 0; j < {{length}}; j++) {
        let index = {{index}}[a1 + j * {{index_step}}];
        if index == {{first}} + own {
            sum = sum + {{source}}[a2 + j * {{source_step}}];
        }
        if own == 0 && {{first}} == 0 && (index < 0 || index >= {{size}}) {
            note(index);
        }
    }
    {{out}}[at] = sum;
}
