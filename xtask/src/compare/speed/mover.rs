//! Who moves memory, and how it is told to.

use landfall_qmp::{
    Capability, CapabilityState, Client, ClientError, Command as Qmp, NO_BANDWIDTH_LIMIT,
    PageEncoding, ParametersUpdate,
};
use serde_json::{Map, json};

use super::super::contender::Engine;

/// An engine with its settings.
#[derive(Debug, PartialEq)]
pub(crate) struct Mover {
    pub(super) name: &'static str,
    pub(super) engine: Engine,
    /// `None` for the one connection that there is without multifd.
    channels: Option<u8>,
    encoding: PageEncoding,
}

const fn qemu(name: &'static str, channels: Option<u8>) -> Mover {
    Mover { name, engine: Engine::Qemu, channels, encoding: PageEncoding::None }
}

const fn landfall(name: &'static str, channels: Option<u8>) -> Mover {
    Mover { name, engine: Engine::Landfall, channels, encoding: PageEncoding::None }
}

/// All there are, QEMU's first.
pub(super) const MOVERS: &[Mover] = &[
    qemu("qemu", None),
    qemu("qemu-multifd-2", Some(2)),
    qemu("qemu-multifd-4", Some(4)),
    qemu("qemu-multifd-8", Some(8)),
    Mover { encoding: PageEncoding::Zstd, ..qemu("qemu-multifd-2-zstd", Some(2)) },
    landfall("landfall", None),
    landfall("landfall-2", Some(2)),
    landfall("landfall-4", Some(4)),
    landfall("landfall-8", Some(8)),
    Mover { encoding: PageEncoding::Zstd, ..landfall("landfall-2-zstd", Some(2)) },
    Mover { encoding: PageEncoding::Auto, ..landfall("landfall-2-auto", Some(2)) },
];

pub(crate) fn named(name: &str) -> Result<&'static Mover, String> {
    MOVERS.iter().find(|mover| mover.name == name).ok_or_else(|| {
        let names: Vec<_> = MOVERS.iter().map(|mover| mover.name).collect();
        format!("there is no such mover; there are {}", names.join(", "))
    })
}

impl Mover {
    /// Tells one end how memory is to be moved. QEMU wants to know it at both, and before the destination listens.
    pub(super) fn tell(&self, end: &mut Client) -> Result<(), ClientError> {
        if let Some(channels) = self.channels {
            let multifd = CapabilityState { capability: Capability::Multifd, state: true };
            end.execute(&Qmp::MigrateSetCapabilities(vec![multifd]))?;
            let multifd_channels = Some(channels);
            let update = ParametersUpdate { multifd_channels, ..ParametersUpdate::default() };
            end.execute(&Qmp::MigrateSetParameters(update))?;
        }
        match self.engine {
            Engine::Qemu if self.encoding == PageEncoding::Zstd => {
                let zstd = Map::from_iter([("multifd-compression".to_owned(), json!("zstd"))]);
                end.execute_raw("migrate-set-parameters", zstd)?;
            }
            Engine::Qemu => {}
            Engine::Landfall => {
                let encoding = Some(self.encoding);
                let update = ParametersUpdate { encoding, ..ParametersUpdate::default() };
                end.execute(&Qmp::MigrateSetParameters(update))?;
            }
        }
        Ok(())
    }

    /// As much as goes.
    pub(super) fn lift_limit(&self, source: &mut Client) -> Result<(), ClientError> {
        let no_limit = match self.engine {
            Engine::Qemu => NO_BANDWIDTH_LIMIT,
            Engine::Landfall => 0,
        };
        let max_bandwidth = Some(no_limit);
        let update = ParametersUpdate { max_bandwidth, ..ParametersUpdate::default() };
        source.execute(&Qmp::MigrateSetParameters(update)).map(drop)
    }
}
