//! The network of a lab: the wire between two lab machines, and on each a bridge that guests are joined to.

/// The hosts, and the address of each on the bridge; `host.sh` gives it to them.
pub(super) const HOSTS: [(u8, &str); 2] = [(1, "10.9.0.1"), (2, "10.9.0.3")];
/// Where the second host lets the first run programs; `there.sh` knows it, too.
pub(super) const SERVICE: u16 = 7000;
