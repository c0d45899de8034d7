fn element(i: u32) {
{{places}}{{nodes}}{{writes}}}
