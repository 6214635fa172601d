use std::cell::Cell;

use super::*;

const HELD: f64 = 0.95;

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Thread 1 runs all the time, thread 2 a twentieth of it; nothing is known of any other.
fn clock(thread: i32) -> Option<Duration> {
    match thread {
        1 => Some(NOW.get()),
        2 => Some(NOW.get() / 20),
        _ => None,
    }
}

/// What is found, looking ten times a second, when QEMU says for so many seconds each that the throttle is so hard.
fn found(threads: &[i32], said: &[(f64, u64)]) -> Vec<Escaped> {
    let mut vcpus = Vcpus::timed_by(threads.to_vec(), clock);
    NOW.set(Duration::ZERO);
    let looks = said.iter().flat_map(|(share, seconds)| (0..seconds * 10).map(|_| *share));
    let look = |share| {
        NOW.set(NOW.get() + Duration::from_millis(100));
        vcpus.look(Throttle::new(share), NOW.get())
    };
    looks.filter_map(look).collect()
}

#[test]
fn a_vcpu_that_runs_on_while_qemu_says_that_it_is_held_is_found() {
    let throttle = Throttle::new(HELD);
    assert_eq!(found(&[1], &[(HELD, 4)]), [Escaped { throttle, vcpus: 1, of: 1 }]);
    let escaped = found(&[1, 2, 3], &[(HELD, 4)]);
    assert_eq!(escaped, [Escaped { throttle, vcpus: 1, of: 3 }]);
    let said = escaped[0].to_string();
    assert!(said.contains("95 %") && said.contains("1 of 3"), "{said}");
}

#[test]
fn vcpus_that_are_held_or_not_known_are_not_complained_of() {
    assert_eq!(found(&[2], &[(HELD, 10)]), []);
    assert_eq!(found(&[3], &[(HELD, 10)]), []);
    assert_eq!(found(&[], &[(HELD, 10)]), []);
}

#[test]
fn nothing_is_believed_of_a_throttle_that_is_soft_or_changes() {
    assert_eq!(found(&[1], &[(0.3, 10)]), []);
    assert_eq!(found(&[1], &[(0.95, 2), (0.96, 2), (0.97, 2), (0.0, 10)]), []);
}

#[test]
fn a_thread_of_something_else_is_not_known() {
    let ourselves = i32::try_from(std::process::id()).unwrap();
    assert_eq!(run_time(ourselves), None);
}
