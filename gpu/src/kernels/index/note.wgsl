// Of all that name nothing, the first is kept until the host has read it.
fn note(index: i32) {
    if {{index_error}}[0] == 0 {
        {{index_error}}[1] = index;
        {{index_error}}[2] = {{size}};
        {{index_error}}[0] = {{operation}};
    }
}
