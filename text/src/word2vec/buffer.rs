//! Floats that begin with a cache line, so that a vector of sixteen lies in one.

const LINE: usize = 64;

/// Floats of one thread.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Words of two floats each, since that is what atomics come in.
    words: Vec<u64>,
    /// Where the first whole cache line begins, and how many words are in use.
    start: usize,
    len: usize,
}

impl Buffer {
    /// Makes room for `floats` floats, an even number; what is in them is of no meaning.
    pub(crate) fn resize(&mut self, floats: usize) {
        self.len = floats / 2;
        if self.words.len() < self.len + LINE / size_of::<u64>() {
            self.words = vec![0; 2 * self.len + LINE / size_of::<u64>()];
            self.start = start(&self.words);
        }
    }

    pub(crate) fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words[self.start..self.start + self.len])
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.words_mut())
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.start..self.start + self.len]
    }
}

/// How many elements come before the first whole cache line, which is there if there are that many more
/// than needed.
pub(crate) fn start<T>(elements: &[T]) -> usize {
    let start = elements.as_ptr().align_offset(LINE);
    // Where pointers cannot be looked at, nothing is gained.
    if start < LINE / size_of::<T>() { start } else { 0 }
}

/// Elements of a cache line.
pub(crate) const fn per_line<T>() -> usize {
    LINE / size_of::<T>()
}
