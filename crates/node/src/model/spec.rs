//! What a machine is made from.

use std::path::PathBuf;
use std::str::FromStr;

use landfall_converge::units::ParseUnitError;
use landfall_converge::{ByteRate, Bytes};
use serde::{Deserialize, Serialize};

use super::devices::{CardSpec, DiskSpec};
use super::names::{PolicyName, VmName};

/// A machine as its owner describes it, in TOML or JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmSpec {
    /// What it is called.
    pub name: VmName,
    /// How it is migrated unless something else is asked for; the node's default if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// What runs the guest, and what the guest is.
    #[serde(flatten)]
    pub machine: MachineSpec,
}

/// What runs the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MachineSpec {
    /// A machine of Landfall's own, started by the node.
    Native(NativeSpec),
    /// A stock QEMU, started by somebody else and adopted.
    Qemu(QemuSpec),
}

impl MachineSpec {
    /// Its kind in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Native(_) => "native",
            Self::Qemu(_) => "qemu",
        }
    }
}

/// A machine of Landfall's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeSpec {
    /// How many vCPUs.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 255)]
    pub cpus: u8,
    /// The guest's memory, with its unit, as in `512MiB`.
    #[schema(value_type = String, example = "512MiB")]
    pub memory: Size,
    /// Huge pages of the host's pool that the memory is in, if it is: `2MiB` or `1GiB`. The target of a migration takes as many
    /// from its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<HugePages>,
    /// `auto`, `kvm` or `synthetic`.
    #[serde(default)]
    pub machine: MachineChoice,
    /// The guest is the probe that comes with Landfall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
    /// The guest is a system of the owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelSpec>,
}

fn one() -> u8 {
    1
}

/// How large huge pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum HugePages {
    /// 2 MiB.
    #[serde(rename = "2MiB")]
    TwoMiB,
    /// 1 GiB.
    #[serde(rename = "1GiB")]
    OneGiB,
}

impl HugePages {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoMiB => "2MiB",
            Self::OneGiB => "1GiB",
        }
    }
}

/// What runs a native guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MachineChoice {
    /// KVM where there is `/dev/kvm`, otherwise synthetic.
    #[default]
    Auto,
    /// A guest in KVM.
    Kvm,
    /// Native threads that behave as a guest.
    Synthetic,
}

impl MachineChoice {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Synthetic => "synthetic",
        }
    }
}

/// The probe guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// `sweep`, `random`, `hot-cold`, `read-only`, `compute` or `bursts`.
    pub workload: String,
    /// The memory that it keeps rewriting, as in `128MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "128MiB")]
    pub working_set: Option<Size>,
    /// How fast it writes, as in `500MB/s`; as fast as it can if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "500MB/s")]
    pub rate: Option<Rate>,
}

/// A kernel to boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelSpec {
    /// A bzImage, or an ELF file with a PVH entry.
    #[schema(value_type = String)]
    pub image: PathBuf,
    /// The initial RAM disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// Its disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskSpec>,
    /// Its network cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<CardSpec>,
}

/// A stock QEMU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QemuSpec {
    /// The socket of its monitor.
    #[schema(value_type = String)]
    pub socket: PathBuf,
    /// The command that started it; a destination is started by the same. Read from the running process if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident: $value:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            text: String,
            value: $value,
        }

        impl $name {
            /// What it comes to.
            #[must_use]
            pub fn value(&self) -> $value {
                self.value
            }

            /// As it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl FromStr for $name {
            type Err = ParseUnitError;
            fn from_str(text: &str) -> Result<Self, ParseUnitError> {
                Ok(Self { value: text.parse()?, text: text.trim().to_owned() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseUnitError;
            fn try_from(text: String) -> Result<Self, ParseUnitError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(quantity: $name) -> Self {
                quantity.text
            }
        }
    )*};
}

quantities! {
    /// A size with its unit, kept as it was written.
    Size: Bytes;
    /// A rate with its unit, kept as it was written.
    Rate: ByteRate;
}

/// Why a description is of no machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No guest, or two.
    #[error("a native machine has either a probe or a kernel; say one of them, not both")]
    Guest,
    /// No vCPU.
    #[error("a machine has at least one vCPU")]
    NoCpu,
    /// The probe would not know what to do.
    #[error("'{0}' is no workload; write {list}", list = WORKLOADS.join(", "))]
    Workload(String),
    /// What runs it cannot boot it.
    #[error("a synthetic machine runs the probe alone; leave out `machine`, or give it a probe")]
    SyntheticKernel,
    /// Another host, or the node itself, would look elsewhere for it.
    #[error("'{}' is no disk; give the whole path of a file or block device, without a comma in it", .0.display())]
    Disk(PathBuf),
    /// No interface is called so.
    #[error(
        "'{0}' is no tap; give the name of an interface, of 1 to 15 letters without '/', ',' and spaces"
    )]
    Tap(String),
    /// No card has it.
    #[error("'{0}' is no address of a network card; write one as in 52:54:00:12:34:56")]
    Mac(String),
}

/// What a probe does.
const WORKLOADS: [&str; 6] = ["sweep", "random", "hot-cold", "read-only", "compute", "bursts"];

impl ProbeSpec {
    fn check(&self) -> Result<(), SpecError> {
        // Options may follow, as the command line has them.
        let workload = self.workload.split(',').next().unwrap_or_default();
        if WORKLOADS.contains(&workload) {
            Ok(())
        } else {
            Err(SpecError::Workload(workload.to_owned()))
        }
    }
}

impl KernelSpec {
    fn check(&self) -> Result<(), SpecError> {
        self.disks.iter().try_for_each(DiskSpec::check)?;
        self.network.iter().try_for_each(CardSpec::check)
    }
}

impl NativeSpec {
    /// Whether it makes a machine, as far as this can be told without making it.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.cpus == 0 {
            return Err(SpecError::NoCpu);
        }
        match (&self.probe, &self.kernel) {
            (Some(probe), None) => probe.check(),
            (None, Some(_)) if self.machine == MachineChoice::Synthetic => {
                Err(SpecError::SyntheticKernel)
            }
            (None, Some(kernel)) => kernel.check(),
            _ => Err(SpecError::Guest),
        }
    }

    /// Settles what the owner left open and what must stay as it is from then on: the addresses of cards.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn settle(&mut self) -> std::io::Result<()> {
        let kernel = self.kernel.iter_mut();
        kernel.flat_map(|kernel| &mut kernel.network).try_for_each(CardSpec::settle)
    }

    /// As flags of `landfall vm run`.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--cpus={}", self.cpus),
            format!("--memory={}", self.memory.as_str()),
            format!("--machine={}", self.machine.name()),
        ];
        flags.extend(self.hugepages.map(|pages| format!("--hugepages={}", pages.name())));
        if let Some(probe) = &self.probe {
            flags.push(format!("--probe={}", probe.workload));
            if let Some(set) = &probe.working_set {
                flags.push(format!("--working-set={}", set.as_str()));
            }
            if let Some(rate) = &probe.rate {
                flags.push(format!("--rate={}", rate.as_str()));
            }
        }
        if let Some(kernel) = &self.kernel {
            flags.push(format!("--kernel={}", kernel.image.display()));
            if let Some(initrd) = &kernel.initrd {
                flags.push(format!("--initrd={}", initrd.display()));
            }
            if let Some(cmdline) = &kernel.cmdline {
                flags.push(format!("--cmdline={cmdline}"));
            }
            flags.extend(kernel.disks.iter().map(DiskSpec::flag));
            flags.extend(kernel.network.iter().map(CardSpec::flag));
        }
        flags
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
