//! A loop over documents, shared among threads.

use std::ops::Range;

/// Calls `work` on as many parts of `0..n` as there are threads, at once; the results are in order.
pub(crate) fn map_parts<T: Send>(n: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let n_parts = plies_tensor::threads().min(n);
    if n_parts <= 1 {
        return if n == 0 { Vec::new() } else { vec![work(0..n)] };
    }
    let part = |i: usize| i * n / n_parts..(i + 1) * n / n_parts;
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..n_parts).map(|i| scope.spawn(move || work(part(i)))).collect();
        let mut results = vec![work(part(0))];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}
