//! What an operator asks of a running machine before a migration, and changes of one under way: over real processes.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests does not reach their helper functions"
)]

mod changing;
mod machine;
mod measuring;
mod planning;
