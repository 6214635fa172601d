//! The engine, with a guest that does nothing, to a destination in the same process.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use landfall_converge::{ByteRate, Bytes, Policy, VcpuThrottles};
use landfall_identity::{Authority, Identity, Request};
use landfall_migrate::machine::{
    self, Destination, DirtyLog, DirtySink, GuestMemory, Host, MachineError, MachineKind,
    StolenTime, VcpuThrottle,
};
use landfall_migrate::options::{EncodingChoice, Options, Security, Uri};
use landfall_migrate::progress::Unobserved;
use landfall_migrate::report::Outcome;
use landfall_migrate::{Listener, control, migrate_out};
use landfall_vmm::memory::GuestRam;
use tempfile::TempDir;

use crate::measured::{Measured, measure};
use crate::source::Source;

/// How memory is moved.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) channels: u16,
    pub(crate) tls: bool,
    pub(crate) encoding: EncodingChoice,
    pub(crate) rate: Option<ByteRate>,
}

impl Engine {
    pub(crate) const PLAIN: Self =
        Self { channels: 1, tls: false, encoding: EncodingChoice::None, rate: None };

    pub(crate) fn run(self, source: &Source) -> Measured {
        let (folder, _) = identity();
        let security = Security {
            identity: self.tls.then(|| folder.path().join("host")),
            peer_name: Some("localhost".to_owned()),
            allow_plain: false,
        };
        let listener = Listener::bind(&Uri::Tcp("127.0.0.1:0".to_owned()), &security).unwrap();
        let options = Options {
            security,
            policy: Policy::Off,
            max_bandwidth: self.rate,
            channels: self.channels,
            encoding: self.encoding,
            ..Options::to(listener.uri())
        };
        // The memory outlives what is measured: who has just got a guest does not give its memory back.
        let mut arrived = None;
        measure(|| {
            let receiving = thread::spawn(move || {
                let (_handle, control) = control();
                listener.accept_migration(&mut Place, &control).unwrap()
            });
            let (_handle, control) = control();
            let mut guest = Idle(Arc::clone(&source.memory));
            let report = migrate_out(&mut guest, &options, control, &mut Unobserved);
            assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
            arrived = Some(receiving.join().unwrap());
            report.sent_bytes
        })
    }
}

/// An identity for both sides.
pub(crate) fn identity() -> (TempDir, Identity) {
    let folder = TempDir::new().unwrap();
    let valid = Duration::from_secs(86_400);
    let at = |name: &str| folder.path().join(name);
    let authority = Authority::create(&at("ca"), "bench", valid).unwrap();
    let request = Request { name: "localhost".to_owned(), addresses: vec![], valid };
    authority.issue(&request, &at("host")).unwrap();
    let identity = Identity::load(Path::new(&at("host"))).unwrap();
    (folder, identity)
}

/// A guest that does nothing.
struct Idle(Arc<GuestRam>);

impl machine::Source for Idle {
    fn kind(&self) -> MachineKind {
        MachineKind::Synthetic
    }

    fn configuration(&self) -> Vec<u8> {
        self.0.size().0.to_le_bytes().to_vec()
    }

    fn memory(&self) -> Arc<dyn GuestMemory> {
        Arc::clone(&self.0) as _
    }

    fn dirty_log(&mut self) -> &mut dyn DirtyLog {
        self
    }

    fn throttle(&self) -> Arc<dyn VcpuThrottle> {
        Arc::new(NoVcpus)
    }

    fn pause(&mut self) -> Result<bool, MachineError> {
        Ok(true)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, MachineError> {
        Ok(Vec::new())
    }
}

impl DirtyLog for Idle {
    fn start(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn harvest(&mut self, _: &mut dyn DirtySink) -> Result<(), MachineError> {
        Ok(())
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        Ok(())
    }
}

struct NoVcpus;

impl VcpuThrottle for NoVcpus {
    fn set(&self, _: &VcpuThrottles) {}

    fn stolen(&self) -> Vec<StolenTime> {
        vec![StolenTime::default()]
    }

    fn reset_stolen(&self) {}
}

struct Place;

impl Host for Place {
    fn build(&mut self, configuration: &[u8]) -> Result<Box<dyn Destination>, MachineError> {
        let size = Bytes(u64::from_le_bytes(configuration.try_into()?));
        Ok(Box::new(Arrived(Arc::new(GuestRam::new(size)?))))
    }
}

struct Arrived(Arc<GuestRam>);

impl Destination for Arrived {
    fn memory(&self) -> Arc<dyn GuestMemory> {
        Arc::clone(&self.0) as _
    }

    fn load(&mut self, _: &[u8]) -> Result<(), MachineError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(())
    }
}
