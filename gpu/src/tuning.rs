//! Plans of products that were measured on this device, by class of shape, in a file.
//!
//! A class is a kind of product and its sizes up to the next power of two, so that a training meets few. The
//! first product of a class is computed by each candidate in turn (`kernels/contract/measure.rs`), and the
//! fastest is kept. Another plan adds the same products in another order, so its results differ in their last
//! bits. With one file they are the same from run to run; a product of a class that the file has not is
//! measured, and chance decides between candidates that are about equal. Who needs the bits of another
//! machine leaves measuring off.
//!
//! The file is of one adapter, one driver and one version of this crate, which its name and its first line say.
//! One that is anything else than it should be is left aside, with a notice.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernels::contract::Plan;

/// Kind of product, how its operands lie, and logarithms of its sizes.
pub(crate) type Class = [u8; 7];

#[derive(Default)]
struct State {
    plans: BTreeMap<Class, Plan>,
    /// Variants of kernels that were tried, and whether their products were right.
    right: BTreeMap<[usize; 3], bool>,
    notices: Vec<String>,
}

pub(crate) struct Tuning {
    path: PathBuf,
    /// What the file begins with.
    title: String,
    state: Mutex<State>,
}

impl Tuning {
    /// What is known of a device in a folder.
    pub(crate) fn open(folder: &Path, adapter: &str, driver: &str) -> Tuning {
        let title =
            format!("plies-gpu {} products on {adapter}, {driver}", env!("CARGO_PKG_VERSION"));
        let title = title.replace(['\n', '\r'], " ");
        let letters = adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let name: String = letters.take(40).collect();
        let path = folder.join(format!("{name}-{:016x}.txt", digest(&title)));
        let mut state = State::default();
        match std::fs::read(&path) {
            Ok(bytes) => match parse(&bytes, &title) {
                Ok(plans) => state.plans = plans,
                Err(reason) => state.notices.push(format!(
                    "{}: {reason}; it is left aside, and products are measured anew",
                    path.display()
                )),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => state.notices.push(format!("{}: {error}", path.display())),
        }
        Tuning { path, title, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of a class; `measure` finds it where it is not known.
    pub(crate) fn plan(
        &self,
        class: Class,
        measure: impl FnOnce() -> Option<Plan>,
    ) -> Option<Plan> {
        if let Some(plan) = self.state().plans.get(&class) {
            return Some(*plan);
        }
        let plan = measure()?;
        let mut state = self.state();
        state.plans.insert(class, plan);
        let text = print(&state.plans, &self.title);
        let folder = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let saved = folder.and_then(|()| {
            plies_tensor::replace_file(&self.path, |file| file.write_all(text.as_bytes()))
        });
        if let Err(error) = saved {
            let notice = format!("{}: {error}; what was measured is not kept", self.path.display());
            if !state.notices.contains(&notice) {
                state.notices.push(notice);
            }
        }
        Some(plan)
    }

    /// Whether a variant of a kernel computes what it should; tried once.
    pub(crate) fn is_right(
        &self,
        variant: [usize; 3],
        name: impl FnOnce() -> String,
        is_right: impl FnOnce() -> bool,
    ) -> bool {
        if let Some(&known) = self.state().right.get(&variant) {
            return known;
        }
        let right = is_right();
        let mut state = self.state();
        state.right.insert(variant, right);
        if !right {
            state.notices.push(format!("{} computes wrong products here and is not used", name()));
        }
        right
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        self.state().notices.clone()
    }
}

/// A line for each class and one for all before it.
fn print(plans: &BTreeMap<Class, Plan>, title: &str) -> String {
    let mut text = format!("{title}\n");
    for (class, Plan { tile, parts }) in plans {
        class.iter().for_each(|n| text += &format!("{n} "));
        text += &format!("= {tile} {parts}\n");
    }
    text += &format!("digest {:016x}\n", digest(&text));
    text
}

fn parse(bytes: &[u8], title: &str) -> Result<BTreeMap<Class, Plan>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no text".to_owned())?;
    let end = text.rfind("digest ").ok_or("no digest at the end")?;
    let (body, last) = text.split_at(end);
    if last != format!("digest {:016x}\n", digest(body)) {
        return Err("the digest at the end is another one".into());
    }
    let mut lines = body.lines();
    if lines.next() != Some(title) {
        return Err(format!("the first line is not `{title}`"));
    }
    let mut plans = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let wrong = || format!("line {}: `{line}` is no plan", number + 2);
        let (class, plan) = line.split_once("= ").ok_or_else(wrong)?;
        let class: Vec<u8> = numbers(class).ok_or_else(wrong)?;
        let plan: Vec<usize> = numbers(plan).ok_or_else(wrong)?;
        let class = Class::try_from(class).map_err(|_| wrong())?;
        let [tile, parts] = <[usize; 2]>::try_from(plan).map_err(|_| wrong())?;
        let plan = Plan { tile, parts };
        if !plan.is_sound() {
            return Err(wrong());
        }
        plans.insert(class, plan);
    }
    Ok(plans)
}

fn numbers<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// FNV-1a (Fowler, Noll and Vo 1991): against accidents, not against attackers.
fn digest(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> BTreeMap<Class, Plan> {
        let plan = |i: u8| ([0, 1, 0, 0, i, 12, 9], Plan { tile: i as usize % 5, parts: 1 << i });
        (0..6).map(plan).collect()
    }

    #[test]
    fn what_is_printed_is_read_again() {
        assert_eq!(parse(print(&plans(), "title").as_bytes(), "title"), Ok(plans()));
        assert!(parse(print(&plans(), "title").as_bytes(), "another").is_err());
    }

    #[test]
    fn a_file_with_any_bit_changed_or_an_end_missing_is_refused() {
        let bytes = print(&plans(), "title").into_bytes();
        for i in 0..bytes.len() {
            assert!(parse(&bytes[..i], "title").is_err(), "the first {i} bytes");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[i] ^= 1 << bit;
                assert!(parse(&changed, "title").is_err(), "bit {bit} of byte {i}");
            }
        }
    }

    #[test]
    fn lines_that_are_no_plans_are_named_though_the_digest_is_right() {
        for line in [
            "1 2 = 0 1",
            "0 0 0 0 0 0 0 = 9 1",
            "0 0 0 0 0 0 0 = 0 0",
            "x",
            "0 0 0 0 0 0 999 = 0 1",
        ] {
            let body = format!("title\n{line}\n");
            let text = format!("{body}digest {:016x}\n", digest(&body));
            assert_eq!(
                parse(text.as_bytes(), "title"),
                Err(format!("line 2: `{line}` is no plan"))
            );
        }
    }
}
