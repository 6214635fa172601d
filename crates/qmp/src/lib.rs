//! The language of the monitor: QMP, as QEMU speaks it.
//!
//! A monitor listens on a Unix socket. It greets ([`Greeting`]), waits for `qmp_capabilities`, and from then on answers
//! every [`Request`] with a [`Reply`] and tells of what happens with [`Event`]s, each one JSON object. What QEMU does
//! not have is named `x-landfall-…`.
//!
//! The types are shared by both sides. [`Session`] is the monitor's side without any I/O; [`MonitorServer`] puts it
//! behind a socket; [`Client`] is the other end, for Landfall's machines and for stock QEMU alike.

#![forbid(unsafe_code)]

mod arguments;
mod balloon;
mod capability;
mod client;
mod codec;
mod command;
mod dirty_rate;
mod error;
mod event;
mod guest;
mod message;
mod migration;
mod parameters;
mod server;
mod session;
mod status;
mod subscribers;

pub use balloon::{BalloonInfo, BalloonStatistics};
pub use capability::{Capabilities, Capability, CapabilityState};
pub use client::{Client, ClientError};
pub use codec::{FrameError, Framer, encode};
pub use command::Command;
pub use dirty_rate::{
    DirtyMeasurement, DirtyRateInfo, DirtyRateMode, DirtyRateRequest, DirtyRateStatus,
    MeasuredBursts, MeasuredWindow, TimeUnit, VcpuDirtyRate,
};
pub use error::{ErrorClass, QmpError};
pub use event::{Event, EventKind, Timestamp};
pub use guest::{GuestCheck, VcpuCheck, VcpuState, VcpuStatus, VmStatus};
pub use message::{
    Greeting, GreetingBody, Outcome, Reply, Request, SessionCommand, Version, VersionTriple,
};
pub use migration::{LandfallMigration, MigrationInfo, MigrationStatus, RamStats, SocketAddress};
pub use parameters::{
    NO_BANDWIDTH_LIMIT, OnLimit, PageEncoding, Parameters, ParametersUpdate, Policy,
};
pub use server::{BindError, Handler, MonitorServer};
pub use session::{Session, Step};
pub use status::{CpuInfo, RunState, StatusInfo};
pub use subscribers::EventBroadcast;
