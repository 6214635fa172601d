//! vCPU threads: a state machine that runs, is throttled, is paused, and finishes.

mod ending;
mod gate;
mod rhythm;
mod thread;

pub use ending::Ending;
pub use gate::{Gate, PauseTimeout, RunState};
pub use thread::{Cpu, CpuError, Exit, Kick, VcpuThread};
