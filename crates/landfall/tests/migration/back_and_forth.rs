//! A guest that never comes to rest is moved again and again, and loses nothing.

use landfall_qmp::{Command, PageEncoding, RunState};

use crate::machine::{How, Machine, NARROW};
use crate::pair::{Guest, Pair, assert_arrived, assert_completed, uri};

const ENCODINGS: [PageEncoding; 5] = [
    PageEncoding::None,
    PageEncoding::Auto,
    PageEncoding::Delta,
    PageEncoding::Lz4,
    PageEncoding::Zstd,
];

#[test]
fn fifty_migrations_between_two_processes_lose_nothing() {
    let mut pair = Pair::of(Guest { probe: "sweep,working-set=32MiB", memory: "64MiB", cpus: "2" });
    let mut other = pair.destination().machine;
    let mut last = [0; 2];
    for round in 1..=50 {
        let meeting = pair.socket(&format!("round-{round}"));
        if round > 1 {
            other.execute(&Command::MigrateIncoming { uri: uri(&meeting) });
        }
        let to = if round > 1 { meeting } else { pair.socket("destination-1") };
        let channels = [1, 2, 5][round % 3];
        let encoding = ENCODINGS[round % ENCODINGS.len()];
        let how = How { bandwidth: 200_000_000, channels, encoding, ..NARROW };
        pair.source.migrate(uri(&to), &how);
        assert_completed(&pair.source.report());
        assert_eq!(pair.source.status(), RunState::Postmigrate);
        wait_for_the_guest(&mut other);
        let check = other.assert_whole();
        let work = [check.vcpus[0].work, check.vcpus[1].work];
        assert!(work[0] > last[0] && work[1] > last[1], "round {round}: {work:?} after {last:?}");
        last = work;
        std::mem::swap(&mut pair.source, &mut other);
    }
    assert_arrived(&mut pair.source);
}

fn wait_for_the_guest(machine: &mut Machine) {
    machine.until("the guest", |machine| (machine.status() == RunState::Running).then_some(()));
}
