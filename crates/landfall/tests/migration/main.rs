//! Migrations between real pairs of processes, and everything that can happen to them on the way.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

mod auto_converge;
mod back_and_forth;
mod cancelling;
mod commit;
mod corruption;
mod disks;
#[path = "../pvh/elf.rs"]
mod elf;
mod frame;
mod handing_over;
mod losing;
mod machine;
mod pair;
mod protected;
mod proxy;
mod refusal;
#[path = "../../../migrate/tests/moving/rights.rs"]
mod rights;
mod sandbox;
mod snapshot;
mod unaided;
