use std::io;
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_guest_writes_to_its_serial_port_comes_out() {
    let output = Shared::default();
    let bus = ProbeBoard::new(Box::new(output.clone()));
    for byte in b"hello" {
        bus.write_port(0x3F8, &[*byte]);
    }
    assert_eq!(*output.0.lock().unwrap(), b"hello");
}

#[test]
fn a_serial_port_is_the_same_after_save_and_load() {
    let bus = ProbeBoard::new(Box::new(io::sink()));
    bus.write_port(0x3F8 + 3, &[0x80]);
    bus.write_port(0x3F8, &[0x0C]);
    bus.write_port(0x3F8 + 3, &[0x03]);
    bus.write_port(0x3F8 + 7, &[0x5A]);
    let saved = bus.save().unwrap();
    let other = ProbeBoard::new(Box::new(io::sink()));
    assert_ne!(other.save().unwrap(), saved);
    other.load(&saved).unwrap();
    assert_eq!(other.save().unwrap(), saved);
    let mut scratch = [0];
    other.read_port(0x3F8 + 7, &mut scratch);
    assert_eq!(scratch, [0x5A]);
}

#[test]
fn an_empty_port_reads_as_ones_and_the_debug_port_counts() {
    let bus = ProbeBoard::new(Box::new(io::sink()));
    let mut data = [0; 4];
    bus.read_port(0xCF8, &mut data);
    assert_eq!(data, [0xFF; 4]);
    bus.write_port(DEBUG_PORT, &[0, 0, 0, 0]);
    assert_eq!(bus.violations(), 1);
}
