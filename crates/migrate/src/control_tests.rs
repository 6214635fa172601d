use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use landfall_converge::{ByteRate, Limits};

use super::*;

fn listening(control: &Control) -> Receiver<Request> {
    let (events, received) = channel();
    control.forward(events, |request| request);
    received
}

fn bandwidth(rate: f64) -> Adjustment {
    Adjustment { max_bandwidth: Some(Some(ByteRate::new(rate))), limits: None }
}

#[test]
fn what_was_requested_before_the_migration_listened_is_not_lost() {
    let (handle, control) = control();
    handle.adjust(bandwidth(1.0));
    handle.cancel();
    handle.adjust(bandwidth(2.0));
    let received = listening(&control);
    assert!(control.is_cancelled());
    let requests: Vec<_> = received.try_iter().collect();
    assert_eq!(requests.iter().filter(|it| matches!(it, Request::Cancel)).count(), 1);
    let adjustments = requests.iter().filter_map(|request| match request {
        Request::Adjust(adjustment) => Some(*adjustment),
        Request::Cancel => None,
    });
    assert_eq!(adjustments.collect::<Vec<_>>(), [bandwidth(1.0), bandwidth(2.0)], "in order");
}

#[test]
fn what_is_requested_while_it_listens_comes_at_once_and_from_every_clone() {
    let (handle, control) = control();
    let received = listening(&control);
    assert!(received.try_recv().is_err());
    let limits = Limits { max_downtime: Duration::from_secs(1), ..Limits::default() };
    let adjustment = Adjustment { limits: Some(limits), max_bandwidth: None };
    handle.clone().adjust(adjustment);
    assert!(matches!(received.try_recv(), Ok(Request::Adjust(it)) if it == adjustment));
    handle.cancel();
    assert!(matches!(received.try_recv(), Ok(Request::Cancel)));
    assert!(control.is_cancelled());
}

#[test]
fn a_migration_that_has_ended_is_steered_no_more_and_nobody_minds() {
    let (handle, control) = control();
    drop(listening(&control));
    drop(control);
    handle.adjust(bandwidth(1.0));
    handle.cancel();
}

#[test]
fn cancelling_ends_a_wait_for_the_other_side_whichever_came_first() {
    for cancelled_before in [true, false] {
        let (handle, control) = control();
        let (mut waiting, _other) = UnixStream::pair().unwrap();
        if cancelled_before {
            handle.cancel();
        }
        control.interrupt(Channel::Unix(waiting.try_clone().unwrap()));
        if !cancelled_before {
            handle.cancel();
        }
        assert_eq!(waiting.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn a_connection_that_nobody_waits_for_any_more_is_left_alone() {
    let (handle, control) = control();
    let (mut waiting, other) = UnixStream::pair().unwrap();
    control.interrupt(Channel::Unix(waiting.try_clone().unwrap()));
    control.uninterrupt();
    handle.cancel();
    waiting.set_nonblocking(true).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err(), "it is open, with nothing to read");
    drop(other);
}
