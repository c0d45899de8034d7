// One step of a bitonic sort (Batcher 1968): pairs `distance` apart, put in order within runs of `run`. The
// second of a pair may be in another part of the keys, which begins `shift` after the first's.
fn element(number: u32) {
    let distance = {{distance}};
    let first = number / distance * distance * 2u + number % distance;
    let second = first + distance - {{shift}};
    let ascends = ((({{start}} + first) % {{padded}}) & {{run}}) == 0u;
    let key = vec2(bitcast<u32>(b0[first * 2u]), bitcast<u32>({{other}}[second * 2u]));
    let at = vec2(b0[first * 2u + 1u], {{other}}[second * 2u + 1u]);
    let is_greater = key.x > key.y || (key.x == key.y && at.x > at.y);
    if is_greater == ascends {
        b0[first * 2u] = bitcast<i32>(key.y);
        {{other}}[second * 2u] = bitcast<i32>(key.x);
        b0[first * 2u + 1u] = at.y;
        {{other}}[second * 2u + 1u] = at.x;
    }
}
