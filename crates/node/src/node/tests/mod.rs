//! A node with machines that are only numbers, and a daemon that can be ended between any two steps.

mod asked_twice;
mod checked;
mod coming_in;
mod decided;
mod never_twice;
mod world;
