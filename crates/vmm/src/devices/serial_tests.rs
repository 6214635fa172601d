use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use super::*;

/// Data register, interrupt enable, and modem control with its loop.
const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;

#[derive(Default)]
struct Counted(AtomicU32);

impl Interrupt for Counted {
    fn raise(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn port() -> Arc<SerialPort> {
    Arc::new(SerialPort::new(Box::new(io::sink()), None))
}

#[test]
fn what_is_received_raises_the_interrupt_that_the_guest_has_enabled() {
    let line = Arc::new(Counted::default());
    let port = SerialPort::new(Box::new(io::sink()), Some(Arc::clone(&line) as _));
    assert!(port.receive(b"a"));
    assert_eq!(line.0.load(Ordering::Relaxed), 0);
    port.write(INTERRUPT_ENABLE, 1);
    assert!(line.0.load(Ordering::Relaxed) > 0);
    assert_eq!(port.read(DATA), b'a');
}

#[test]
fn more_than_the_buffer_holds_arrives_in_order_as_the_guest_reads() {
    let port = port();
    let sent: Vec<u8> = (0..=255).collect();
    let (typist, typed) = (Arc::clone(&port), sent.clone());
    let typist = thread::spawn(move || typist.receive(&typed));
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        // Bit 0 of the line status: data is ready.
        if port.read(5) & 1 == 1 {
            seen.push(port.read(DATA));
        } else {
            thread::yield_now();
        }
    }
    assert_eq!(seen, sent);
    assert!(typist.join().unwrap());
}

#[test]
fn a_stopped_port_asks_for_nothing_and_receives_only_what_was_asked_for_before() {
    let port = port();
    assert_eq!(port.wait_for_room(), Some(64));
    port.stop();
    assert!(port.receive(b"x"));
    assert_eq!(port.save().received, b"x");
    let (done, finished) = channel();
    let [asking, typing] = [Arc::clone(&port), Arc::clone(&port)];
    let asking = thread::spawn(move || asking.wait_for_room());
    let typing = thread::spawn(move || done.send(typing.receive(b"y")).unwrap());
    // Saved is saved.
    assert_eq!(port.save().received, b"x");
    port.start();
    assert!(finished.recv().unwrap());
    typing.join().unwrap();
    assert!(matches!(asking.join().unwrap(), Some(62..=63)));
    assert_eq!(port.save().received, b"xy");
}

#[test]
fn who_waits_for_a_machine_that_goes_is_let_go() {
    let port = port();
    port.stop();
    port.save();
    let [asking, typing] = [Arc::clone(&port), Arc::clone(&port)];
    let asking = thread::spawn(move || asking.wait_for_room());
    let typing = thread::spawn(move || typing.receive(b"x"));
    port.close();
    assert_eq!(asking.join().unwrap(), None);
    assert!(!typing.join().unwrap());
}
