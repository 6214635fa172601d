use super::*;

const FOUND: u64 = 50;

fn set(aim: Aim, in_force: u8) -> (u64, u64, u64, u64) {
    let values = parameters(aim, in_force, FOUND);
    let value = |name: &str| values[name].as_u64().unwrap();
    (value(INITIAL), value(INCREMENT), value(MAX), value(THRESHOLD))
}

#[test]
fn a_free_guest_is_throttled_by_next_to_nothing_should_qemu_think_that_it_must_be() {
    assert_eq!(set(Aim::Free, 0), (1, 1, 1, FOUND));
}

#[test]
fn the_first_step_is_the_goal_and_taken_only_if_the_guest_still_outruns_the_link() {
    assert_eq!(set(Aim::Hold(95), 0), (95, 95, 95, OUTRUNS));
    // QEMU has begun with 1 % already: from there it adds.
    assert_eq!(set(Aim::Hold(95), 1), (95, 94, 95, OUTRUNS));
}

#[test]
fn a_harder_throttle_is_one_step_away_and_a_softer_one_is_a_cap() {
    assert_eq!(set(Aim::Hold(99), 95), (99, 4, 99, 1));
    assert_eq!(set(Aim::Hold(40), 95), (40, 1, 40, 1));
}

#[test]
fn whoever_is_let_go_is_let_go_at_the_next_look() {
    assert_eq!(set(Aim::LetGo, 95), (1, 1, 1, 1));
}

#[test]
fn qemu_would_take_every_set_of_them() {
    for aim in [Aim::Free, Aim::LetGo, Aim::Hold(1), Aim::Hold(50), Aim::Hold(99)] {
        for in_force in 0..=99 {
            let (initial, increment, max, threshold) = set(aim, in_force);
            assert!((1..=99).contains(&initial), "{aim:?} {in_force}");
            assert!((1..=99).contains(&increment), "{aim:?} {in_force}");
            assert!((initial..=99).contains(&max), "{aim:?} {in_force}");
            assert!((1..=100).contains(&threshold), "{aim:?} {in_force}");
        }
    }
}

#[test]
fn what_the_controller_decides_is_rounded_to_whole_per_cent() {
    assert_eq!(Aim::at(Throttle::NONE), Aim::LetGo);
    assert_eq!(Aim::at(Throttle::new(0.949_999)), Aim::Hold(95));
    assert_eq!(Aim::at(Throttle::MAX), Aim::Hold(99));
}
