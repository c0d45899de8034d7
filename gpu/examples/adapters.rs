//! The graphics processors of this machine, and what they can do.
//!
//!     cargo run -p plies-gpu --example adapters

use plies_gpu::adapters;

fn main() {
    let all = adapters();
    if all.is_empty() {
        println!("no adapter; on Debian, apt-get install mesa-vulkan-drivers has one in software");
    }
    let mib = |bytes: u64| bytes >> 20;
    for a in all {
        println!("{}: {}", a.number, a.name);
        println!("   {} through {}, driver {}", a.kind, a.interface, a.driver);
        println!(
            "   buffers up to {} MiB, {} MiB seen at once, {} in a kernel",
            mib(a.largest_buffer),
            mib(a.largest_binding),
            a.buffers_per_kernel
        );
        println!(
            "   workgroups of {} threads and {} KiB, subgroups of {} to {}, f16 {}",
            a.workgroup_threads,
            a.workgroup_memory >> 10,
            a.subgroup[0],
            a.subgroup[1],
            if a.has_f16 { "yes" } else { "no" }
        );
        match a.matrix_units {
            Some(units) => println!(
                "   matrix units of {0} x {0}, held by {1} threads",
                units.side, units.threads
            ),
            None => println!("   no matrix units"),
        }
    }
}
