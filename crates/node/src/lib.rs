//! The host: a registry of machines and migrations, who may run which, and what operators see of it.

#![forbid(unsafe_code)]

pub mod api;
pub mod client;
pub mod daemon;
pub mod events;
pub mod host;
pub mod http_peer;
mod in_the_open;
mod local;
pub mod machines;
mod metrics;
pub mod model;
pub mod node;
pub mod ownership;
pub mod peer;
pub mod plan;
pub mod presence;
pub mod process;
pub mod qemu_report;
pub mod quantities;
pub mod render;
mod secret;
pub mod store;
pub mod summary;
mod tls;
pub mod trust;
mod web;
