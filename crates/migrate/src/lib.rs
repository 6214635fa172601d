//! The movement: takes a running guest to another process, page by page, and gives it away in one step.
//!
//! This crate knows nothing of KVM. A hypervisor offers it the small traits of [`machine`]; `landfall-vmm` does so for
//! KVM and for native threads, and any other Rust VMM can.
//!
//! [`migrate_out`] is the source's side, [`Listener`] the destination's. Both can be cancelled through a [`Handle`].

#![forbid(unsafe_code)]

mod bucket;
mod channel;
mod control;
mod deed;
mod descriptors;
mod destination;
mod digest;
mod dirty_set;
mod encoding;
mod heat;
pub mod machine;
pub mod options;
mod page_buffer;
pub mod progress;
mod recorder;
pub mod report;
mod security;
pub mod snapshot;
mod source;
mod tls;
pub mod wire;
mod zeros;

pub use control::{Control, Handle, control};
pub use deed::Deed;
pub use destination::{Arrival, Listener, ReceiveError};
pub use dirty_set::{DirtySet, channel_of};
pub use encoding::{UnpackError, Unpacker};
pub use landfall_identity::{Identity, IdentityError};
pub use source::migrate_out;
