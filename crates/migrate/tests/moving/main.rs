//! Guests that write while they are moved, over real sockets, to the end or into every kind of trouble.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod arriving;
mod calling_off;
mod encoding;
mod failing;
mod guest;
mod handing_over;
mod memory;
mod place;
mod proxy;
mod rights;
mod securing;
mod shared;
mod snapshot;
mod speaking;
mod spreading;
