//! `calc-dirty-rate` and `query-dirty-rate` of a machine that runs.

use std::time::{Duration, Instant};

use landfall_qmp::{
    Client, ClientError, Command, DirtyRateInfo, DirtyRateMode, DirtyRateRequest, DirtyRateStatus,
    TimeUnit,
};

use crate::machine::Machine;

fn begin(client: &mut Client, lasting: Duration) {
    client.execute(&Command::CalcDirtyRate(DirtyRateRequest::lasting(lasting))).unwrap();
}

fn rate(client: &mut Client) -> DirtyRateInfo {
    client.query(&Command::QueryDirtyRate { unit: TimeUnit::Second }).unwrap()
}

fn refused(result: Result<serde_json::Value, ClientError>) -> String {
    match result {
        Err(ClientError::Refused { source, .. }) => source.desc,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_begins_unstarted_and_ends_with_the_mean_that_qemu_tells() {
    let machine = Machine::with_guest("sweep,working-set=16MiB,rate=200MB/s");
    let mut client = machine.client();
    assert_eq!(rate(&mut client), DirtyRateInfo::default());
    begin(&mut client, Duration::from_secs(1));
    let measuring = rate(&mut client);
    assert_eq!(measuring.status, DirtyRateStatus::Measuring);
    assert!(machine.status().dirty_log, "the log is on while it measures");
    let deadline = Instant::now() + Duration::from_secs(30);
    let measured = loop {
        let info = rate(&mut client);
        if info.status != DirtyRateStatus::Measuring {
            break info;
        }
        assert!(Instant::now() < deadline, "{info:?}");
        client.wait_event(Instant::now() + Duration::from_millis(50)).unwrap();
    };
    // All 16 MiB, and a few pages of the guest's own, in a second.
    assert!(measured.dirty_rate.is_some_and(|rate| (14..=18).contains(&rate)), "{measured:?}");
    assert_eq!((measured.calc_time, measured.sample_pages), (1, 0));
    assert_ne!(measured.mode, DirtyRateMode::PageSampling, "it says how it was really measured");
    assert!(measured.start_time > 1_600_000_000, "{measured:?}");
    let landfall = measured.landfall.unwrap();
    assert_eq!(landfall.pattern, "sweep");
    assert!((100e6..300e6).contains(&landfall.dirty_rate_bytes_per_second), "{landfall:?}");
    assert!(!machine.status().dirty_log, "the log is off afterwards");
}

#[test]
fn there_is_one_at_a_time_and_none_beside_a_migration() {
    let (source, destination) =
        (Machine::with_guest("sweep,working-set=16MiB,rate=100MB/s"), Machine::waiting());
    let mut client = source.client();
    begin(&mut client, Duration::from_secs(60));
    let again = DirtyRateRequest::lasting(Duration::from_secs(1));
    let desc = refused(client.execute(&Command::CalcDirtyRate(again)));
    assert_eq!(desc, "the dirty rate is already being measured.");
    let desc = refused(client.execute(&Command::Migrate { uri: destination.uri() }));
    assert!(desc.starts_with("the dirty rate is being measured"), "{desc}");
    drop(source);

    let source = Machine::with_guest("sweep,working-set=16MiB,rate=100MB/s");
    let mut child = source.migrate(&destination, &["--bandwidth", "1MB/s"]);
    source.wait_for_pass(1);
    let desc = refused(source.client().execute(&Command::CalcDirtyRate(again)));
    assert!(desc.starts_with("There's a migration process in progress"), "{desc}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_machine_that_measures_quits_at_once() {
    let mut machine = Machine::with_guest("sweep,working-set=16MiB");
    let mut client = machine.client();
    begin(&mut client, Duration::from_secs(60));
    // Waiting for a process closes its standard input stream, which would end the machine, too.
    let _parent = machine.process.stdin.take();
    let began = Instant::now();
    client.execute(&Command::Quit).unwrap();
    assert!(machine.process.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
