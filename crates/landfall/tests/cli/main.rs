//! The command line, from its arguments to its output and exit code.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

mod cert;
mod confined;
mod daemon;
mod demo;
mod doubt;
mod drain;
#[path = "../pvh/elf.rs"]
mod elf;
mod kernel;
mod lines;
mod migrate;
mod monitor;
mod needs;
mod nodes;
mod operate;
mod service;
mod soak;
mod tls;
mod tokens;
