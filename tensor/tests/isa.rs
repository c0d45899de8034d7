//! What `PLIES_ISA` has wrong is told where the device is made: in a process for each name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use plies_tensor::{DType, Device, Elementwise, Tensor, instruction_set};

#[test]
#[ignore = "the process that the other test starts"]
fn work_for_several_threads() {
    println!("told: {}", instruction_set().unwrap_err());
    let x = Tensor::zeros([1 << 22], DType::F32, &Device::cpu());
    println!("begun: {}", x.tanh().sum_all().item().unwrap());
}

#[test]
fn a_wrong_name_is_told_at_the_line_that_makes_the_device() {
    let names = "say avx512, avx2, neon or portable";
    let missing = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    let rows: [(&[u8], String); 4] = [
        (b"avx9", format!("PLIES_ISA: there is no instruction set \"avx9\"; {names}")),
        (b"AVX2", format!("PLIES_ISA: there is no instruction set \"AVX2\"; {names}")),
        (b"avx\xff", format!("PLIES_ISA: there is no instruction set \"avx\u{fffd}\"; {names}")),
        (missing.as_bytes(), format!("PLIES_ISA: this processor has no {missing}; it has ")),
    ];
    for (name, message) in rows {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "isa::work_for_several_threads", "--ignored", "--nocapture"])
            .env("PLIES_ISA", OsStr::from_bytes(name))
            .output()
            .unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|x| String::from_utf8(x).unwrap());
        assert!(out.contains(&format!("told: {message}")), "{name:?}: {out}");
        assert!(!out.contains("begun"), "{name:?}: {out}");
        // Once, by this thread, at this file.
        assert_eq!(err.matches("panicked at").count(), 1, "{name:?}: {err}");
        let line = err.lines().position(|line| line.contains("panicked at")).unwrap();
        let panic: Vec<&str> = err.lines().skip(line).take(2).collect();
        assert!(panic[0].contains("work_for_several_threads"), "{name:?}: {err}");
        assert!(panic[0].contains("tests/isa.rs"), "{name:?}: {err}");
        assert!(panic[1].starts_with(&message), "{name:?}: {err}");
    }
}
