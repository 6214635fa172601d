//! The pages in a real browser, on two nodes with a real guest between them. Run by `cargo xtask test browser`, which
//! installs the browser; on their own these tests are left out. `cargo xtask screenshots` has them take pictures, too.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

mod browser;
mod delays;
mod doors;
mod doubt;
mod hosts;
mod looks;
mod moving;
mod operating;
mod plain;
#[path = "../pvh/probe.rs"]
mod probe;
mod qemu;
