//! Stock QEMU, steered: real processes, a real guest, and whatever may happen to them. Run by `cargo xtask test qemu
//! qemu-linux`, which installs QEMU; on their own these tests are left out.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

#[path = "../cli/daemon.rs"]
#[allow(dead_code, reason = "of what daemons can do the other tests use more")]
mod daemon;
mod failing;
mod landfall;
mod linux;
mod machine;
#[path = "../cli/monitor.rs"]
#[allow(dead_code, reason = "the machine that only plays is for other tests")]
mod monitor;
#[path = "../pvh/probe.rs"]
mod probe;
mod secured;
mod steering;
