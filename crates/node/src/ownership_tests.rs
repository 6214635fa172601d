use proptest::prelude::*;

use super::{Conflict, Holding, Ownership, Step, Verdict};
use crate::model::{MigrationId, NodeName};

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn id(number: u8) -> MigrationId {
    format!("a-{number}").parse().unwrap()
}

fn offer(number: u8) -> Step {
    Step::Offer { to: node("b"), migration: id(number) }
}

fn expect(number: u8, epoch: u64) -> Step {
    Step::Expect { from: node("a"), migration: id(number), epoch }
}

fn refuse(number: u8, epoch: u64) -> Step {
    Step::Refuse { from: node("a"), migration: id(number), epoch }
}

fn accept(number: u8) -> Step {
    Step::Accept { migration: id(number) }
}

fn made(steps: &[Step]) -> Result<Ownership, Conflict> {
    let mut record = None;
    for step in steps {
        record = Some(Ownership::after(record.as_ref(), step)?);
    }
    Ok(record.unwrap())
}

#[test]
fn what_was_refused_is_not_accepted_and_what_was_accepted_is_not_refused() {
    assert_eq!(made(&[expect(1, 2), refuse(1, 2), accept(1)]), Err(Conflict::Decided));
    assert_eq!(made(&[expect(1, 2), accept(1), refuse(1, 2)]), Err(Conflict::Decided));
}

#[test]
fn an_offer_that_was_refused_before_it_came_is_not_taken_when_it_comes() {
    assert_eq!(made(&[refuse(1, 2), expect(1, 2)]), Err(Conflict::Decided));
}

#[test]
fn the_next_offer_is_taken_after_one_was_refused() {
    let record = made(&[expect(1, 2), refuse(1, 2), expect(2, 2), accept(2)]).unwrap();
    assert_eq!(record, Ownership { epoch: 2, holding: Holding::Here { by: Some(id(2)) } });
}

#[test]
fn the_source_cannot_give_away_what_it_took_back() {
    let mut record = Ownership::after(Some(&Ownership::first()), &offer(1)).unwrap();
    record = Ownership::after(Some(&record), &Step::TakeBack { migration: id(1) }).unwrap();
    assert_eq!(record, Ownership::first());
    let late = Ownership::after(Some(&record), &Step::GiveAway { migration: id(1) });
    assert_eq!(late, Err(Conflict::AnotherMigration));
}

#[test]
fn the_source_cannot_take_back_what_it_gave_away() {
    let offered = Ownership::after(Some(&Ownership::first()), &offer(1)).unwrap();
    let away = Ownership::after(Some(&offered), &Step::GiveAway { migration: id(1) }).unwrap();
    assert_eq!(away.epoch, 2);
    assert!(!away.may_run_here());
    let back = Ownership::after(Some(&away), &Step::TakeBack { migration: id(1) });
    assert_eq!(back, Err(Conflict::Decided));
}

#[test]
fn an_old_offer_is_refused_by_its_epoch() {
    let mut record = made(&[expect(1, 2), accept(1)]).unwrap();
    for step in [offer(2), Step::GiveAway { migration: id(2) }] {
        record = Ownership::after(Some(&record), &step).unwrap();
    }
    assert_eq!(
        Ownership::after(Some(&record), &expect(3, 3)),
        Err(Conflict::OutOfDate { offered: 3, seen: 3 })
    );
    assert!(Ownership::after(Some(&record), &expect(3, 4)).is_ok());
}

#[test]
fn a_guest_that_has_gone_further_was_accepted() {
    let mut record = made(&[expect(1, 2), accept(1)]).unwrap();
    record = Ownership::after(Some(&record), &offer(2)).unwrap();
    assert_eq!(record.verdict(&id(1), 2), Verdict::Accepted);
    record = Ownership::after(Some(&record), &Step::GiveAway { migration: id(2) }).unwrap();
    assert_eq!(record.verdict(&id(1), 2), Verdict::Accepted);
    assert_eq!(record.verdict(&id(9), 4), Verdict::Unknown);
}

/// Everything that either side may do at any time in the course of three migrations, each asked for any number of times.
fn any_step() -> impl Strategy<Value = (bool, u8, u8)> {
    (any::<bool>(), 0..3_u8, 1..4_u8)
}

proptest! {
    /// The source decides as the rules say: away only when the destination has accepted, back only when it has refused.
    /// Whatever happens in whatever order, at most one of the two records ever says that the guest may run.
    #[test]
    fn whatever_happens_only_one_side_may_run_the_guest(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut source = Ownership::first();
        let mut destination: Option<Ownership> = None;
        let make = |record: &mut Option<Ownership>, step: &Step| {
            if let Ok(next) = Ownership::after(record.as_ref(), step) {
                *record = Some(next);
            }
        };
        for (at_source, what, number) in steps {
            let migration = id(number);
            let offered = source.migration() == Some(&migration);
            let verdict = |destination: &Option<Ownership>| {
                destination.as_ref().map_or(Verdict::Unknown, |it| it.verdict(&migration, 2))
            };
            if at_source {
                let step = match (what, verdict(&destination)) {
                    (0, _) => offer(number),
                    (1, Verdict::Accepted) => Step::GiveAway { migration: migration.clone() },
                    (2, Verdict::Refused) => Step::TakeBack { migration: migration.clone() },
                    _ => continue,
                };
                let mut record = Some(source.clone());
                make(&mut record, &step);
                source = record.unwrap();
            } else {
                match what {
                    // Requests are made while the source offers, but may come in late; late ones stand for all below.
                    0 if offered => make(&mut destination, &expect(number, 2)),
                    1 => make(&mut destination, &accept(number)),
                    2 => make(&mut destination, &refuse(number, 2)),
                    _ => {}
                }
            }
            let here = matches!(source.holding, Holding::Here { .. });
            let there = destination.as_ref().is_some_and(|it| matches!(it.holding, Holding::Here { .. }));
            prop_assert!(!(here && there), "source {source:?}, destination {destination:?}");
        }
    }
}
