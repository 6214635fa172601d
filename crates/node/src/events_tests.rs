use super::{Events, MOST_EVENTS};

#[test]
fn who_comes_back_gets_what_was_missed_in_order() {
    let events = Events::new(7);
    for subject in ["a", "b", "c"] {
        events.tell("vm", subject, &subject);
    }
    let all = events.after(0);
    assert!(all[0].at_ms > 0 && all.is_sorted_by_key(|event| event.at_ms), "{all:?}");
    let missed: Vec<_> = events.after(7).into_iter().map(|event| event.subject).collect();
    assert_eq!(missed, ["b", "c"]);
    assert_eq!(*events.watch().borrow(), 9);
}

#[test]
fn the_oldest_make_room() {
    let events = Events::new(1);
    for index in 0..=MOST_EVENTS {
        events.tell("vm", "a", &index);
    }
    assert_eq!(events.after(0).len(), MOST_EVENTS);
    assert_eq!(events.after(0)[0].id, 2);
}
