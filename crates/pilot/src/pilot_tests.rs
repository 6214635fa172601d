use super::*;
use crate::lever::{INITIAL, MAX, TAILSLOW};
use crate::memo::Memo;
use crate::model::{Model, Plot, Shared};

#[derive(Debug, Default)]
struct Notes(Vec<String>, Vec<Progress>);

impl Observer for Notes {
    fn progress(&mut self, progress: &Progress) {
        self.1.push(progress.clone());
    }

    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

fn attach(model: &Shared, options: Options) -> (Pilot, Notes) {
    let mut notes = Notes::default();
    let pilot = Pilot::attach(Box::new(model.clone()), options, Memo::none(), &mut notes).unwrap();
    (pilot, notes)
}

/// Waits for no longer than so many looks.
fn go_on(mut looks: u32) -> impl FnMut() -> Wish {
    move || {
        looks = looks.checked_sub(1).expect("it does not end");
        Wish::GoOn
    }
}

/// A migration that is begun and steered to its end.
fn steered(model: Model, options: Options) -> (Bill, Shared, Notes) {
    let found = (model.parameters.clone(), model.auto_converge, model.postcopy);
    let model = Shared::new(model);
    let (mut pilot, mut notes) = attach(&model, options);
    pilot.begin("tcp:there:4444").unwrap();
    let bill = pilot.steer(&mut notes, &mut go_on(3000)).unwrap().unwrap();
    {
        let after = model.0.borrow();
        assert_eq!((after.parameters.clone(), after.auto_converge, after.postcopy), found);
    }
    (bill, model, notes)
}

/// The same migration of the same QEMU, left alone.
fn alone(mut model: Model) -> Model {
    model.auto_converge = true;
    model.begin();
    while model.status == MigrationStatus::Active {
        assert!(model.at < 300.0, "it does not end");
        model.pass(0.1);
    }
    model
}

fn long() -> Model {
    // A guest of which a pass takes many seconds.
    Model { cold: 8e9, working_set: 2e9, rate: |_| 900e6, ..Model::sweep() }
}

#[test]
fn a_guest_that_outruns_the_link_arrives_sooner_and_loses_less_than_when_qemu_is_left_alone() {
    let alone = alone(Model::sweep());
    assert_eq!(alone.status, MigrationStatus::Completed);
    let (bill, model, notes) = steered(Model::sweep(), Options::default());
    assert_eq!(bill.outcome, Outcome::Completed);
    let (total, stolen) = (bill.total.as_secs_f64(), bill.stolen.as_secs_f64());
    assert!(total * 4.0 < alone.at, "{total} s against {} s", alone.at);
    assert!(stolen * 4.0 < alone.stolen, "{stolen} s against {} s", alone.stolen);
    assert_eq!(model.0.borrow().throttles, [95]);
    // What is billed is what was stolen, as far as it can be seen ten times a second.
    assert!((stolen - model.0.borrow().stolen).abs() < 0.2);
    assert_eq!(bill.max_stall(), Duration::from_millis(190));
    assert!(notes.1.iter().any(|seen| seen.throttle == Throttle::new(0.95)));
    assert_eq!(bill.changes.len(), 1);
}

#[test]
fn a_guest_that_needs_no_help_is_left_alone() {
    for rate in [(|_| 0.0) as crate::model::Rate, |_| 20e6, |_| 60e6] {
        let (bill, model, _) = steered(Model { rate, ..Model::sweep() }, Options::default());
        assert_eq!(bill.outcome, Outcome::Completed);
        assert!(model.0.borrow().throttles.iter().all(|percent| *percent <= 1));
    }
}

#[test]
fn it_is_never_later_than_qemu_alone_by_much() {
    for working_set in [32e6, 64e6, 128e6, 400e6] {
        for rate in [
            (|_| 130e6) as crate::model::Rate,
            |_| 200e6,
            |_| 400e6,
            |_| 3e9,
            |at| if at % 1.0 < 0.5 { 820e6 } else { 0.0 },
            |at| if at % 7.0 < 3.0 { 820e6 } else { 0.0 },
        ] {
            let model = || Model { working_set, rate, ..Model::sweep() };
            let alone = alone(model());
            let (bill, model, _) = steered(model(), Options::default());
            let (total, stolen) = (bill.total.as_secs_f64(), model.0.borrow().stolen);
            assert!(total <= alone.at + 1.0, "{working_set}: {total} s against {} s", alone.at);
            // A guest that only just outruns the link looks like one that far outruns it, and is held as hard for a pass.
            assert!(
                stolen <= alone.stolen + 0.8,
                "{working_set}: {stolen} against {}",
                alone.stolen
            );
        }
    }
}

#[test]
fn a_burst_that_ends_lets_the_guest_go_while_it_is_still_migrated() {
    let model = Model { rate: |at| if at < 165.0 { 900e6 } else { 60e6 }, ..long() };
    let options = Options { max_throttle: Throttle::new(0.6), ..Options::default() };
    let (bill, model, _) = steered(model, options);
    assert_eq!(bill.outcome, Outcome::Completed);
    assert_eq!(model.0.borrow().throttles, [60, 1]);
}

#[test]
fn a_limit_on_the_throttle_is_kept_and_the_migration_still_judged() {
    let limit = Duration::from_secs(60);
    let options =
        Options { max_throttle: Throttle::new(0.5), time_limit: Some(limit), ..Options::default() };
    let (bill, model, _) = steered(Model::sweep(), options);
    assert_eq!(bill.outcome, Outcome::GaveUp);
    assert_eq!(model.0.borrow().throttles, [50]);
    assert_eq!(model.0.borrow().status, MigrationStatus::Cancelled);
    assert!(bill.reason.as_ref().unwrap().contains("time limit"));
    assert_eq!(bill.max_stall(), Duration::from_millis(10));
}

#[test]
fn without_auto_converge_nobody_is_throttled() {
    let options = Options {
        auto_converge: false,
        time_limit: Some(Duration::from_secs(30)),
        ..Options::default()
    };
    let model = Model { auto_converge: true, ..Model::sweep() };
    let (bill, model, _) = steered(model, options);
    assert_eq!(bill.outcome, Outcome::GaveUp);
    assert!(model.0.borrow().throttles.is_empty());
}

#[test]
fn at_the_limit_it_may_switch_over_whatever_the_downtime() {
    let options = Options {
        max_throttle: Throttle::new(0.01),
        time_limit: Some(Duration::from_secs(10)),
        at_limit: AtLimit::Switchover,
        max_downtime: Some(Duration::from_millis(200)),
        max_bandwidth: Some(125_000_000),
        ..Options::default()
    };
    let (bill, ..) = steered(Model::sweep(), options);
    assert_eq!(bill.outcome, Outcome::Completed);
    assert_eq!(bill.downtime_limit, Duration::from_millis(200));
    assert!(bill.downtime > bill.downtime_limit);
    assert!((10.0..12.0).contains(&bill.total.as_secs_f64()), "{:?}", bill.total);
}

#[test]
fn at_the_limit_the_pages_may_follow_the_guest() {
    let options = Options {
        max_throttle: Throttle::new(0.01),
        time_limit: Some(Duration::from_secs(10)),
        at_limit: AtLimit::Postcopy,
        ..Options::default()
    };
    let (bill, ..) = steered(Model::sweep(), options);
    assert_eq!(bill.outcome, Outcome::Completed);
}

#[test]
fn one_that_waits_steers_what_somebody_else_begins_whatever_became_of_the_one_before() {
    for before in [MigrationStatus::None, MigrationStatus::Cancelled, MigrationStatus::Failed] {
        let model =
            Shared::new(Model { status: before, plot: Some((5.0, Plot::Begin)), ..Model::sweep() });
        let (mut pilot, mut notes) = attach(&model, Options::default());
        assert!(model.0.borrow().auto_converge, "while nothing is under way it is switched on");
        assert_eq!(model.0.borrow().parameter(INITIAL), 20, "and nothing else is changed");
        let bill = pilot.steer(&mut notes, &mut go_on(3000)).unwrap().unwrap();
        assert_eq!(bill.outcome, Outcome::Completed);
        assert_eq!(model.0.borrow().throttles, [95]);
        assert!(!model.0.borrow().auto_converge);
    }
}

#[test]
fn one_under_way_is_taken_up() {
    let mut model = Model { auto_converge: true, ..Model::sweep() };
    model.begin();
    model.pass(5.0);
    assert_eq!(model.throttles, [20]);
    let model = Shared::new(model);
    let (mut pilot, mut notes) = attach(&model, Options::default());
    let bill = pilot.steer(&mut notes, &mut go_on(3000)).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::Completed);
    assert!(model.0.borrow().throttles.contains(&95));
    assert!(model.0.borrow().at < alone(Model::sweep()).at / 2.0);
}

#[test]
fn one_under_way_without_auto_converge_is_only_watched_and_that_is_said() {
    let mut model = Model { plot: Some((20.0, Plot::Cancel)), ..Model::sweep() };
    model.begin();
    let found = model.parameters.clone();
    let model = Shared::new(model);
    let (mut pilot, mut notes) = attach(&model, Options::default());
    assert!(notes.0[0].contains("only watched"), "{:?}", notes.0);
    let mut looks = go_on(3000);
    let seen = model.clone();
    let mut wish = move || {
        assert_eq!(seen.0.borrow().parameters, found);
        looks()
    };
    let bill = pilot.steer(&mut notes, &mut wish).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::Cancelled);
    assert!(bill.total > Duration::from_secs(19), "its last counters are kept");
}

#[test]
fn whoever_ends_it_the_guests_whereabouts_are_told_and_all_is_put_back() {
    let after = |plot| {
        let model = Model { plot: Some((3.0, plot)), ..Model::sweep() };
        steered(model, Options::default()).0
    };
    let cancelled = after(Plot::Cancel);
    assert_eq!(cancelled.outcome, Outcome::Cancelled);
    let failed = after(Plot::Fail);
    assert_eq!(failed.outcome, Outcome::Failed);
    assert!(failed.reason.unwrap().contains("Broken pipe"));
}

#[test]
fn a_guest_that_does_not_run_on_after_a_failure_is_in_doubt() {
    let model = Shared::new(Model { plot: Some((3.0, Plot::Fail)), ..Model::sweep() });
    let (mut pilot, mut notes) = attach(&model, Options::default());
    pilot.begin("tcp:there:4444").unwrap();
    let seen = model.clone();
    let mut wish = move || {
        let mut model = seen.0.borrow_mut();
        if model.status == MigrationStatus::Failed {
            model.run_state = "finish-migrate";
        }
        Wish::GoOn
    };
    let bill = pilot.steer(&mut notes, &mut wish).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::InDoubt);
    assert!(bill.reason.unwrap().contains("cont"));
}

#[test]
fn a_qemu_that_is_killed_leaves_a_guest_in_doubt_and_one_that_said_so_has_arrived() {
    for (plot, outcome) in
        [(Plot::Kill, Outcome::InDoubt), (Plot::ArriveAndQuit, Outcome::Completed)]
    {
        let model = Shared::new(Model { plot: Some((3.0, plot)), ..Model::sweep() });
        let (mut pilot, mut notes) = attach(&model, Options::default());
        pilot.begin("tcp:there:4444").unwrap();
        let bill = pilot.steer(&mut notes, &mut go_on(3000)).unwrap().unwrap();
        assert_eq!(bill.outcome, outcome);
        assert!(bill.total > Duration::from_millis(2500));
    }
}

#[test]
fn a_qemu_that_is_killed_before_there_was_a_migration_is_an_error() {
    let model = Shared::new(Model { plot: Some((3.0, Plot::Kill)), ..Model::sweep() });
    let (mut pilot, mut notes) = attach(&model, Options::default());
    assert!(matches!(pilot.steer(&mut notes, &mut go_on(3000)), Err(PilotError::Ask(_))));
}

#[test]
fn whoever_leaves_puts_the_parameters_back_and_lets_the_migration_go_on() {
    let model = Model { auto_converge: true, ..Model::sweep() };
    let found = model.parameters.clone();
    let model = Shared::new(model);
    let (mut pilot, mut notes) = attach(&model, Options::default());
    model.0.borrow_mut().begin();
    let mut looks = 0;
    let seen = model.clone();
    let mut wish = move || {
        looks += 1;
        if looks < 25 {
            return Wish::GoOn;
        }
        assert_eq!(seen.0.borrow().parameter(MAX), 95, "by now it steers");
        Wish::Detach
    };
    let bill = pilot.steer(&mut notes, &mut wish).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::Detached);
    assert_eq!(model.0.borrow().parameters, found);
    assert_eq!(model.0.borrow().status, MigrationStatus::Active);
}

#[test]
fn whoever_is_dropped_in_the_middle_puts_the_parameters_back_too() {
    let model = Shared::new(Model::sweep());
    let options = Options { max_downtime: Some(Duration::from_millis(100)), ..Options::default() };
    let (mut pilot, _) = attach(&model, options);
    pilot.begin("tcp:there:4444").unwrap();
    assert_eq!(model.0.borrow().parameter("downtime-limit"), 100);
    drop(pilot);
    assert_eq!(model.0.borrow().parameters, Model::sweep().parameters);
}

#[test]
fn the_one_who_began_it_may_call_it_off() {
    let model = Shared::new(Model::sweep());
    let (mut pilot, mut notes) = attach(&model, Options::default());
    pilot.begin("tcp:there:4444").unwrap();
    let bill = pilot.steer(&mut notes, &mut || Wish::Cancel).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::Cancelled);
    assert_eq!(model.0.borrow().parameters, Model::sweep().parameters);
}

#[test]
fn what_an_old_qemu_lacks_is_said_and_done_without() {
    let mut model = Model::sweep();
    for name in [THRESHOLD, TAILSLOW] {
        model.parameters.remove(name);
    }
    let (bill, model, notes) = steered(model, Options::default());
    assert_eq!(bill.outcome, Outcome::Completed);
    assert!(model.0.borrow().throttles.contains(&95));
    assert!(notes.0.iter().any(|note| note.contains(THRESHOLD)), "{:?}", notes.0);
}

#[test]
fn there_is_one_migration_at_a_time() {
    let mut model = Model::sweep();
    model.begin();
    let (mut pilot, _) = attach(&Shared::new(model), Options::default());
    assert!(matches!(pilot.begin("tcp:there:4444"), Err(PilotError::UnderWay)));
}

/// A pilot that is killed while it steers, and where it kept what it changed.
fn killed(model: &Shared) -> (tempfile::TempDir, Memo) {
    let folder = tempfile::tempdir().unwrap();
    let memo = Memo::at(folder.path().join("memo.json"));
    let (options, mut notes) = (Options::default(), Notes::default());
    let mut pilot =
        Pilot::attach(Box::new(model.clone()), options, memo.clone(), &mut notes).unwrap();
    pilot.begin("tcp:there:4444").unwrap();
    let mut looks = 0;
    let info = pilot.look().unwrap();
    let mut course = pilot.begin_course(&info).unwrap().unwrap();
    while model.0.borrow().parameter(MAX) != 95 {
        looks += 1;
        assert!(looks < 100, "it never steers");
        course.observe(&pilot.look().unwrap());
        pilot.act(&mut course).unwrap();
        pilot.wait().unwrap();
    }
    // Nothing of it runs any more.
    std::mem::forget(pilot);
    (folder, memo)
}

#[test]
fn what_one_that_was_killed_left_behind_is_put_back_by_the_next_one() {
    let model = Shared::new(Model::sweep());
    let (_folder, memo) = killed(&model);
    assert!(model.0.borrow().auto_converge);
    let mut notes = Notes::default();
    let mut next =
        Pilot::attach(Box::new(model.clone()), Options::default(), memo.clone(), &mut notes)
            .unwrap();
    assert!(notes.0.iter().any(|note| note.contains("killed")), "{:?}", notes.0);
    let bill = next.steer(&mut notes, &mut go_on(3000)).unwrap().unwrap();
    assert_eq!(bill.outcome, Outcome::Completed);
    assert_eq!(model.0.borrow().parameters, Model::sweep().parameters);
    assert!(!model.0.borrow().auto_converge);
    assert_eq!(memo.read(), None);
}

#[test]
fn it_is_put_back_without_a_pilot_too_but_not_what_somebody_has_set_since() {
    let model = Shared::new(Model::sweep());
    let (_folder, memo) = killed(&model);
    model.0.borrow_mut().parameters.insert(INITIAL.to_owned(), json!(33));
    assert!(Pilot::restore(&mut model.clone(), memo.clone()).unwrap());
    assert_eq!(model.0.borrow().parameter(INITIAL), 33);
    assert_eq!(model.0.borrow().parameter(MAX), 99);
    assert!(!Pilot::restore(&mut model.clone(), memo).unwrap());
}

#[test]
fn another_qemu_in_the_place_of_the_one_that_was_left_is_not_touched() {
    let model = Shared::new(Model::sweep());
    let (_folder, memo) = killed(&model);
    let another = Shared::new(Model { auto_converge: true, ..Model::sweep() });
    assert!(!Pilot::restore(&mut another.clone(), memo.clone()).unwrap());
    assert_eq!(another.0.borrow().parameters, Model::sweep().parameters);
    assert!(another.0.borrow().auto_converge);
    assert_eq!(memo.read(), None);
}
