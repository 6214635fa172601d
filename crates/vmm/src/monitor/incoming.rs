//! Takes a guest in.

use std::sync::Arc;
use std::thread;

use landfall_migrate::options::{Security, Uri};
use landfall_migrate::{Arrival, Listener, ReceiveError, control};
use landfall_qmp::{EventKind, QmpError};
use serde_json::{Value, json};

use super::migration::MigrationRecord;
use super::outgoing::security;
use super::{Guest, Monitor, ProcessEvent, chain};
use crate::machine::{IncomingHost, Vm};

impl Monitor {
    /// Begins to wait for a guest, as a client asks for it.
    pub(super) fn migrate_incoming(&self, uri: &str) -> Result<Value, QmpError> {
        let uri: Uri = uri.parse().map_err(super::failed)?;
        self.listen(&uri)?;
        Ok(json!({}))
    }

    /// Connections are protected as `security` says, from now on and until a client says otherwise.
    pub fn protect(&self, security: &Security) {
        let parameters = &mut self.state().parameters;
        let path = security.identity.as_ref().map(|path| path.display().to_string());
        parameters.tls_creds = path.unwrap_or_default();
        parameters.insecure = security.allow_plain;
    }

    /// Begins to wait for a guest at `uri`, on a thread of its own; it listens when this returns, where it then says.
    ///
    /// # Errors
    /// When there is a guest here already, or the address cannot be listened on.
    pub fn listen(&self, uri: &Uri) -> Result<Uri, QmpError> {
        let mut state = self.state();
        match state.guest {
            Guest::Absent | Guest::GivenAway | Guest::Ended => {}
            Guest::Here(_) | Guest::InDoubt(..) | Guest::Incoming(_) => {
                return Err(QmpError::generic(
                    "there is a guest here, or one is awaited, already; start another process for another guest",
                ));
            }
        }
        let listener = Listener::bind(uri, &security(&state.parameters)).map_err(super::failed)?;
        let listens_at = listener.uri();
        let (handle, control) = control();
        state.guest = Guest::Incoming(handle);
        state.migration = MigrationRecord::awaits(&listens_at);
        drop(state);
        let monitor = self.clone();
        let spawned = thread::Builder::new().name("incoming".to_owned()).spawn(move || {
            let mut host = IncomingHost::on(monitor.0.host.clone(), monitor.0.vm_events.clone());
            let arrival = listener.accept_migration(&mut host, &control);
            // The address is free again before anybody is told.
            drop(listener);
            monitor.arrived(arrival, host.machine());
        });
        spawned.map(|_| listens_at).map_err(|_| {
            self.state().guest = Guest::Absent;
            QmpError::generic("the system gives no thread for the migration")
        })
    }

    fn arrived(&self, arrival: Result<Arrival, ReceiveError>, vm: Option<Arc<Vm>>) {
        let mut state = self.state();
        let (guest, error) = match (arrival, vm) {
            (Ok(Arrival { in_doubt: false, .. }), Some(vm)) => (Guest::Here(vm), None),
            (Ok(Arrival { in_doubt: true, deed, .. }), Some(vm)) => (
                Guest::InDoubt(vm, deed),
                Some("the connection broke before the guest was given away; decide with landfall settle SOCKET run|discard".to_owned()),
            ),
            (Ok(_), None) => (Guest::Absent, Some("no machine was built".to_owned())),
            (Err(error), _) => (Guest::Absent, Some(chain(&error))),
        };
        let runs = matches!(&guest, Guest::Here(vm) if vm.is_running());
        let event = match (&guest, &error) {
            (Guest::Absent, Some(why)) => ProcessEvent::NotArrived(why.clone()),
            _ => ProcessEvent::Arrived,
        };
        state.guest = guest;
        let changed = state.migration.finish_incoming(error);
        drop(state);
        if runs {
            self.emit(&EventKind::Resume);
        }
        if let Some(status) = changed {
            self.emit_migration(&EventKind::Migration { status });
        }
        self.tell_process(event);
    }
}
