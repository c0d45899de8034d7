// Numbers as words that are in the same order: NaN last, and zeros of both signs equal.
fn key_of(x: T) -> u32 {
{{key}}}
