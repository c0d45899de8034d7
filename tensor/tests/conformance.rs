//! The CPU against the definitions, with one thread and with several.

use plies_tensor::testing::conformance;
use plies_tensor::{Device, set_threads};

#[test]
fn the_cpu_conforms_on_one_thread_and_on_several() {
    let _turn = crate::threads::Turn::take();
    set_threads(1);
    conformance(&Device::cpu());
    set_threads(usize::MAX);
    conformance(&Device::cpu());
}
