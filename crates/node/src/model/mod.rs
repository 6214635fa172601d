//! What the API, the command line and the pages speak of.

mod check;
mod devices;
mod key;
mod migration;
mod names;
mod needs;
mod node;
mod policy;
mod progress;
mod settlement;
mod spec;
mod token;
mod vm;

pub use check::{Check, CheckItem, Prediction, Severity};
pub use devices::{CardSpec, DiskSpec};
pub use key::{IdempotencyKey, KeyError};
pub use migration::{Migration, MigrationRequest, MigrationState, MigrationView};
pub use names::{MigrationId, NameError, NodeName, PolicyName, TokenName, VmName};
pub use needs::Needs;
pub use node::{Drain, DrainItem, DrainItemState, NodeFacts, NodeView};
pub use policy::{DEFAULT_POLICY, OnLimit, Policy, Settings, SettingsChange, SettingsError};
pub use progress::{Point, Progress, Stage};
pub use settlement::{Decision, NoteError, Settlement, Settling};
pub use spec::{
    HugePages, KernelSpec, MachineChoice, MachineSpec, NativeSpec, ProbeSpec, QemuSpec, Rate, Size,
    SpecError, VmSpec,
};
pub use token::{DrawnToken, NewToken, Scope, ScopeError, Token};
pub use vm::{VmRecord, VmState, VmView};
