//! A node with machines that are only numbers, and a daemon that can be ended between any two steps.

mod coming_in;
mod never_twice;
mod world;
