//! Cutting a length into nearly equal parts.

/// Cuts `len` into as few parts of at most `most` as possible, as equal as possible; gives each
/// part's start and length.
///
/// Equal parts matter: 64 columns as 32 + 32 keep twice as many accumulators busy in the second
/// tile as 48 + 16 do.
pub(super) fn parts(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = len.div_ceil(most);
    let (short, longer) = match count {
        0 => (0, 0),
        _ => (len / count, len % count),
    };
    (0..count).map(move |i| {
        let start = i * short + i.min(longer);
        (start, short + usize::from(i < longer))
    })
}
