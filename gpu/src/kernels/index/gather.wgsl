fn element(i: u32) {
{{places}}    let index = {{index}}[a1];
    if index >= {{first}} && index < {{end}} {
        {{out}}[a0] = {{input}}[a2 + (index - {{first}}) * {{step}}];
    } else if {{first}} == 0 && (index < 0 || index >= {{size}}) {
        {{index_error}}[1] = index;
        {{index_error}}[2] = {{size}};
        {{index_error}}[0] = 1;
        {{out}}[a0] = T(0);
    }
}
