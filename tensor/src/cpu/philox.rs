//! Philox4x32-10.

/// One block of four words.
pub(crate) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

fn word(seed: u64, block: u64, i: usize) -> u32 {
    let c = block + (i / 4) as u64;
    philox([c as u32, (c >> 32) as u32, 0, 0], [seed as u32, (seed >> 32) as u32])[i % 4]
}

pub(super) fn fill_uniform_f32(seed: u64, block: u64, out: &mut [f32]) {
    for (i, x) in out.iter_mut().enumerate() {
        *x = (word(seed, block, i) >> 8) as f32 * (1.0 / 16_777_216.0);
    }
}

pub(super) fn fill_uniform_f64(seed: u64, block: u64, out: &mut [f64]) {
    for (i, x) in out.iter_mut().enumerate() {
        let w = u64::from(word(seed, block, 2 * i)) << 32 | u64::from(word(seed, block, 2 * i + 1));
        *x = (w >> 11) as f64 / (1u64 << 53) as f64;
    }
}

pub(super) fn fill_normal_f64(seed: u64, block: u64, out: &mut [f64]) {
    let mut u = vec![0f64; out.len().next_multiple_of(2)];
    fill_uniform_f64(seed, block, &mut u);
    for (pair, u) in out.chunks_mut(2).zip(u.chunks(2)) {
        let r = (-2.0 * (1.0 - u[0]).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * u[1]).sin_cos();
        pair[0] = r * cos;
        if let Some(second) = pair.get_mut(1) {
            *second = r * sin;
        }
    }
}

pub(super) fn fill_normal_f32(seed: u64, block: u64, out: &mut [f32]) {
    let mut u = vec![0f32; out.len().next_multiple_of(2)];
    fill_uniform_f32(seed, block, &mut u);
    for (pair, u) in out.chunks_mut(2).zip(u.chunks(2)) {
        let r = (-2.0 * (1.0 - f64::from(u[0])).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * f64::from(u[1])).sin_cos();
        pair[0] = (r * cos) as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = (r * sin) as f32;
        }
    }
}
