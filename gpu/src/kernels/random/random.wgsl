// The upper half of the product of two words.
fn upper(x: u32, y: u32) -> u32 {
    let x0 = x & 0xffffu;
    let x1 = x >> 16u;
    let y0 = y & 0xffffu;
    let y1 = y >> 16u;
    let low = x0 * y0;
    let middle = x1 * y0 + (low >> 16u);
    let other = x0 * y1 + (middle & 0xffffu);
    return x1 * y1 + (middle >> 16u) + (other >> 16u);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var key = seed;
    for (var round = 0; round < 10; round++) {
        let a = upper(c.x, 0xD2511F53u);
        let b = upper(c.z, 0xCD9E8D57u);
        c = vec4(b ^ c.y ^ key.x, c.z * 0xCD9E8D57u, a ^ c.w ^ key.y, c.x * 0xD2511F53u);
        key += vec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

fn uniform_of(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(words >> vec4(8u)) * (1.0f / 16777216.0f);
}

// Box and Muller (1958).
fn normal_of(words: vec4<u32>) -> vec4<f32> {
    let u = uniform_of(words);
    let radius = sqrt(-2.0f * vec2(logarithm(1.0f - u.x), logarithm(1.0f - u.z)));
    // An angle in turns is reduced exactly.
    let t = round(u.yw * 4.0f);
    let r = (u.yw * 4.0f - t) * 1.5707964f;
    let n = vec2<u32>(t);
    let c = vec2(quarters(n.x + 1u, r.x), quarters(n.y + 1u, r.y)) * radius;
    let s = vec2(quarters(n.x, r.x), quarters(n.y, r.y)) * radius;
    return vec4(c.x, s.x, c.y, s.y);
}

fn element(i: u32) {
    let low = {{low}} + i;
    let high = {{high}} + select(0u, 1u, low < i);
    let words = philox(vec4(low, high, 0u, 0u), vec2({{seed_low}}, {{seed_high}}));
    b0[i] = {{distribution}}_of(words);
}
