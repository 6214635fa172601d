use super::super::watch::Count;
use super::*;

#[test]
fn a_guest_that_did_half_of_what_it_could_lost_half_of_the_time() {
    let begin = Instant::now();
    let moment = |ms, work| Moment {
        at: begin + Duration::from_millis(ms),
        vcpus: vec![Count { heartbeat: work, work }],
    };
    let (before, start) = (moment(0, 0), moment(1000, 10_000));
    let seen = Seen { source: vec![moment(3000, 20_000)], ..Seen::default() };
    let lost = work_lost(&seen, &before, &start, begin + Duration::from_millis(3000));
    assert_eq!(lost.len(), 1);
    assert!((lost[0].full_speed - 10_000.0).abs() < 1.0);
    assert!((lost[0].ms - 1000.0).abs() < 1.0, "{}", lost[0].ms);
    assert!((lost[0].share - 0.5).abs() < 0.001);
    assert!((lost[0].apart - 0.5).abs() < 0.001);
}

#[test]
fn every_row_fits_into_the_guest() {
    for row in super::super::row::ROWS {
        let setting = Setting {
            landfall: Path::new(""),
            elf: Path::new(""),
            memory: super::super::MEMORY,
            row,
            bandwidth: ByteRate::new(1e8),
            link: LinkKind::default(),
            downtime_limit: Duration::from_millis(300),
            time_limit: Duration::from_secs(60),
            ticks_per_second: 1_000_000_000,
        };
        setting.plan().unwrap();
    }
}
