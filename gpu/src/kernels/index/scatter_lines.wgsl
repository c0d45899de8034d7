// A thread for each line along the axis: nobody else writes there, so the order is that of the source.
fn element(i: u32) {
{{places}}    for (var j = 0; j < {{length}}; j++) {
        let index = {{index}}[a1 + j * {{index_step}}];
        if index >= {{first}} && index < {{end}} {
            let at = a0 + (index - {{first}}) * {{step}};
            {{out}}[at] = {{out}}[at] + {{source}}[a2 + j * {{source_step}}];
        } else if {{first}} == 0 && (index < 0 || index >= {{size}}) {
            note(index);
        }
    }
}
