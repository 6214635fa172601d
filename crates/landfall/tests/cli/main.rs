//! The command line, from its arguments to its output and exit code.

mod migrate;
mod monitor;
mod operate;
