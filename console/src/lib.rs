#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod console;
mod failure;
mod files;
mod interrupt;
mod numbers;
#[cfg(feature = "plot")]
pub mod plot;
mod program;
mod progress;

pub use console::{CommonArgs, Console, MAX_COLUMNS};
pub use failure::{Failure, notice, one_line};
pub use files::{check_writable, keep_apart};
pub use interrupt::Interrupt;
pub use numbers::{clock, duration, thousands};
pub use program::{called_as, run};
pub use progress::Progress;
