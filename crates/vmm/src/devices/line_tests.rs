use super::*;
use crate::devices::SerialPort;

fn port(line: &Arc<Line>) -> Arc<SerialPort> {
    let port = Arc::new(SerialPort::new(line.output(), None));
    line.connect(Arc::downgrade(&port) as Weak<dyn LineEnd>);
    port
}

/// Reads what the guest would, until it has `count` bytes.
fn received(port: &SerialPort, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        if port.read(5) & 1 == 1 {
            bytes.push(port.read(0));
        } else {
            thread::yield_now();
        }
    }
    bytes
}

#[test]
fn a_choice_reads_back_as_it_is_written() {
    for text in ["stdio", "file:/tmp/a", "socket:b:c"] {
        assert_eq!(text.parse::<LineChoice>().unwrap().to_string(), text);
    }
    for text in ["", "stdio:", "file:", "tcp:1"] {
        let error = text.parse::<LineChoice>().unwrap_err().to_string();
        assert!(error.contains("file:PATH"), "{error}");
    }
}

#[test]
fn a_file_keeps_what_an_earlier_guest_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serial");
    let choice = LineChoice::File(path.clone());
    for byte in *b"ab" {
        let line = Line::open(&choice, false).unwrap();
        port(&line).write(0, byte);
    }
    assert_eq!(std::fs::read(path).unwrap(), b"ab");
}

#[test]
fn a_client_of_the_socket_speaks_with_the_guest_and_with_the_next_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serial");
    let line = Line::open(&LineChoice::Socket(path.clone()), false).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"first").unwrap();
    let first = port(&line);
    assert_eq!(received(&first, 5), b"first");
    first.write(0, b'!');
    let mut answer = [0];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"!");
    first.close();
    drop(first);
    client.write_all(b"second").unwrap();
    assert_eq!(received(&port(&line), 6), b"second");
}

#[test]
fn a_guest_that_nobody_listens_to_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serial");
    let line = Line::open(&LineChoice::Socket(path.clone()), false).unwrap();
    let port = port(&line);
    // Far more than the socket holds, with a client that never reads and after it has gone.
    let client = UnixStream::connect(&path).unwrap();
    (0..1 << 20).for_each(|_| port.write(0, b'x'));
    drop(client);
    (0..1 << 10).for_each(|_| port.write(0, b'y'));
}

#[test]
fn a_socket_that_a_dead_process_left_is_taken_over_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serial");
    drop(UnixListener::bind(&path).unwrap());
    let choice = LineChoice::Socket(path);
    let _line = Line::open(&choice, false).unwrap();
    let error = Line::open(&choice, false).unwrap_err().to_string();
    assert!(error.contains("choose another place"), "{error}");
}

/// How many bytes can be read from `stream` at once.
fn unread(stream: &UnixStream) -> usize {
    waiting_in(stream.as_fd()).unwrap()
}

#[test]
fn what_a_guest_has_no_room_for_is_left_where_it_was_typed() {
    let (mut typist, line_side) = UnixStream::pair().unwrap();
    let line = Arc::new(Line::to(Box::new(io::sink())));
    let port = port(&line);
    let typed: Vec<u8> = (0..=255).cycle().take(300).collect();
    typist.write_all(&typed).unwrap();
    let (mut input, reading) = (line_side.try_clone().unwrap(), Arc::clone(&line));
    let reading = thread::spawn(move || reading.deliver(&mut input));
    // The buffer of the port holds 64.
    while unread(&line_side) > 300 - 64 {
        thread::yield_now();
    }
    assert_eq!(unread(&line_side), 300 - 64);
    // It stands still, as for a switchover. What it has travels, and all else is still to be read.
    port.stop();
    assert_eq!(port.save().received, typed[..64]);
    assert_eq!(unread(&line_side), 300 - 64);
    // It goes on here after all.
    port.start();
    assert_eq!(received(&port, 300), typed);
    drop(typist);
    reading.join().unwrap();
}
