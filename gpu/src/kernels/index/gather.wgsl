fn element(i: u32) {
{{places}}    let index = {{index}}[a1];
    if index >= {{first}} && index < {{end}} {
        {{out}}[a0] = {{input}}[a2 + (index - {{first}}) * {{step}}];
    } else if {{first}} == 0 && (index < 0 || index >= {{size}}) {
        note(index);
        {{out}}[a0] = T(0);
    }
}
