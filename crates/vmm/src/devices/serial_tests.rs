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
fn a_stopped_port_receives_nothing_until_it_is_started_again() {
    let port = port();
    port.stop();
    let (done, finished) = channel();
    let typist = Arc::clone(&port);
    let thread = thread::spawn(move || done.send(typist.receive(b"x")).unwrap());
    let saved = port.save();
    assert!(saved.received.is_empty());
    port.start();
    assert!(finished.recv().unwrap());
    thread.join().unwrap();
    assert_eq!(port.save().received, b"x");
}

#[test]
fn who_waits_for_a_machine_that_goes_is_let_go() {
    let port = port();
    port.stop();
    let typist = Arc::clone(&port);
    let thread = thread::spawn(move || typist.receive(b"x"));
    port.close();
    assert!(!thread.join().unwrap());
}
