//! Plans of products that were measured on this device, by class of shape, in a file.
//!
//! A class is a kind of product and its sizes up to the next power of two, so that a training meets few. The
//! first product of a class is computed by each candidate in turn (`kernels/contract/measure.rs`), and the
//! fastest is kept. Another plan adds the same products in another order, so its results differ in their last
//! bits. With one file they are the same from run to run; a product of a class that the file has not is
//! measured, and chance decides between candidates that are about equal. Who needs the bits of another
//! machine leaves measuring off.
//!
//! A class is measured once, by one thread at a time, since two would disturb each other. Programs that share the
//! file take from it what others have measured meanwhile, and add to it under a lock.
//!
//! The file is of one adapter, one driver and one version of this crate, with matrix units or without, which its name and its first line say.
//! One that is anything else than it should be is left aside, with a notice.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernels::contract::Plan;
use crate::matrix_units::MatrixUnits;

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
    /// Whether plans may be of tiles by matrix units.
    has_units: bool,
    state: Mutex<State>,
    /// Is told each notice once.
    tell: fn(&str),
    /// Is held by whoever measures.
    turn: Mutex<()>,
}

impl Tuning {
    /// What is known of a device in a folder.
    pub(crate) fn open(
        folder: &Path,
        [adapter, driver]: [&str; 2],
        units: Option<MatrixUnits>,
        tell: fn(&str),
    ) -> Tuning {
        let with = units.map_or(String::new(), |units| format!(", matrix units of {}", units.side));
        let title = format!(
            "plies-gpu {} products on {adapter}, {driver}{with}",
            env!("CARGO_PKG_VERSION")
        );
        let title = title.replace(['\n', '\r'], " ");
        let letters = adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let name: String = letters.take(40).collect();
        let path = folder.join(format!("{name}-{:016x}.txt", digest(&title)));
        let (state, turn) = Default::default();
        let tuning = Tuning { path, title, has_units: units.is_some(), state, tell, turn };
        tuning.load();
        tuning
    }

    pub(crate) fn notice(&self, notice: String) {
        let notices = &mut self.state().notices;
        if !notices.contains(&notice) {
            (self.tell)(&notice);
            notices.push(notice);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the file says, whoever wrote it.
    fn load(&self) {
        let path = self.path.display();
        match std::fs::read(&self.path) {
            Ok(bytes) => match parse(&bytes, &self.title, self.has_units) {
                Ok(plans) => self.state().plans.extend(plans),
                Err(reason) => self.notice(format!(
                    "{path}: {reason}; it is left aside, and products are measured anew"
                )),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.notice(format!("{path}: {error}")),
        }
    }

    /// Adds a plan to what the file says. One that it has by now stays, so that all programs use the same.
    fn add(&self, class: Class, plan: Plan) -> std::io::Result<()> {
        self.state().plans.insert(class, plan);
        self.path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let _lock = plies_tensor::lock_file(&self.path)?;
        self.load();
        let text = print(&self.state().plans, &self.title);
        plies_tensor::replace_file(&self.path, |file| file.write_all(text.as_bytes()))
    }

    fn known(&self, class: Class) -> Option<Plan> {
        self.state().plans.get(&class).copied()
    }

    /// The plan of a class; `measure` finds it where it is not known.
    pub(crate) fn plan(
        &self,
        class: Class,
        measure: impl FnOnce() -> Option<Plan>,
    ) -> Option<Plan> {
        if let Some(plan) = self.known(class) {
            return Some(plan);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Others may have measured it meanwhile, in this program or another.
        if self.known(class).is_none() {
            self.load();
        }
        if self.known(class).is_none() {
            let plan = measure()?;
            if let Err(error) = self.add(class, plan) {
                let path = self.path.display();
                let notice = format!("{path}: {error}; what was measured is not kept");
                self.notice(notice);
            }
        }
        self.known(class)
    }

    /// Whether a variant of a kernel computes what it should, or else what is the matter with it; tried until it is
    /// known.
    pub(crate) fn is_right(
        &self,
        variant: [usize; 3],
        name: impl FnOnce() -> String,
        is_right: impl FnOnce() -> Option<Result<(), String>>,
    ) -> Option<bool> {
        if let Some(&known) = self.state().right.get(&variant) {
            return Some(known);
        }
        let result = is_right()?;
        self.state().right.insert(variant, result.is_ok());
        if let Err(reason) = &result {
            self.notice(format!("{} {reason} and is not used", name()));
        }
        Some(result.is_ok())
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

fn parse(bytes: &[u8], title: &str, has_units: bool) -> Result<BTreeMap<Class, Plan>, String> {
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
        if !plan.is_sound(has_units) {
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

    fn open(folder: &tempfile::TempDir) -> Tuning {
        Tuning::open(folder.path(), ["adapter", "driver"], None, |_| ())
    }

    #[test]
    fn a_class_that_several_threads_ask_for_is_measured_once() {
        let folder = tempfile::tempdir().unwrap();
        let tuning = open(&folder);
        let (class, plan) = ([1; 7], Plan { tile: 1, parts: 2 });
        let measured = std::sync::atomic::AtomicUsize::new(0);
        let measure = || {
            measured.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // Long enough for the others to come and ask.
            std::thread::sleep(std::time::Duration::from_millis(50));
            Some(plan)
        };
        std::thread::scope(|scope| {
            let ask = || assert_eq!(tuning.plan(class, measure), Some(plan));
            (0..4).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(measured.into_inner(), 1);
    }

    #[test]
    fn programs_that_share_a_file_keep_what_each_of_them_measures() {
        let folder = tempfile::tempdir().unwrap();
        let [class, other] = [[1; 7], [2; 7]];
        let [one, two] = [open(&folder), open(&folder)];
        let plan = |tile: usize| Plan { tile, parts: 1 };
        assert_eq!(one.plan(class, || Some(plan(1))), Some(plan(1)));
        // What the first has measured the second takes from the file, also when it has measured it itself
        // at the same time.
        let measured_too = || one.plan(other, || Some(plan(2))).and(Some(plan(3)));
        assert_eq!(two.plan(other, measured_too), Some(plan(2)));
        assert_eq!(two.plan(class, || panic!("it is known")), Some(plan(1)));
        std::thread::scope(|scope| {
            for (i, tuning) in (3u8..).zip([&one, &two]) {
                scope.spawn(move || {
                    for n in 0..20 {
                        tuning.plan([i, n, 0, 0, 0, 0, 0], || Some(plan(0)));
                    }
                });
            }
        });
        let third = open(&folder);
        assert_eq!(third.state().plans.len(), 2 + 2 * 20);
        assert_eq!([&one, &two, &third].map(|tuning| tuning.notices().len()), [0; 3]);
        // Nothing is taken from a file that is damaged when it is written next, and that is told.
        std::fs::write(&third.path, b"damage").unwrap();
        third.plan([9; 7], || Some(plan(4)));
        assert!(third.notices()[0].contains("left aside"), "{:?}", third.notices());
        assert_eq!(open(&folder).state().plans, third.state().plans);
    }

    #[test]
    fn what_is_printed_is_read_again() {
        assert_eq!(parse(print(&plans(), "title").as_bytes(), "title", false), Ok(plans()));
        assert!(parse(print(&plans(), "title").as_bytes(), "another", false).is_err());
    }

    #[test]
    fn a_file_with_any_bit_changed_or_an_end_missing_is_refused() {
        let bytes = print(&plans(), "title").into_bytes();
        for i in 0..bytes.len() {
            assert!(parse(&bytes[..i], "title", false).is_err(), "the first {i} bytes");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[i] ^= 1 << bit;
                assert!(parse(&changed, "title", false).is_err(), "bit {bit} of byte {i}");
            }
        }
    }

    #[test]
    fn lines_that_are_no_plans_are_named_though_the_digest_is_right() {
        for line in [
            "1 2 = 0 1",
            "0 0 0 0 0 0 0 = 9 1",
            // By matrix units, which this device is not to use.
            "0 0 0 0 0 0 0 = 5 1",
            "0 0 0 0 0 0 0 = 0 0",
            "x",
            "0 0 0 0 0 0 999 = 0 1",
        ] {
            let body = format!("title\n{line}\n");
            let text = format!("{body}digest {:016x}\n", digest(&body));
            assert_eq!(
                parse(text.as_bytes(), "title", false),
                Err(format!("line 2: `{line}` is no plan"))
            );
        }
    }
}
