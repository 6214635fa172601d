//! Stock QEMU, steered: real processes, a real guest, and whatever may happen to them. Run by `cargo xtask test qemu
//! qemu-linux`, which installs QEMU; on their own these tests are left out.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

mod failing;
mod landfall;
mod linux;
mod machine;
#[path = "../pvh/probe.rs"]
mod probe;
mod steering;
