use super::*;

/// A service that takes one connection; its address.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || run_for(listener.accept().unwrap().0));
    address
}

/// The frames that come back for a request and its input, put together by kind.
fn answers(request: &[&str], input: &[u8]) -> (Vec<u8>, Vec<u8>, Option<u8>) {
    let mut stream = TcpStream::connect(service()).unwrap();
    writeln!(stream, "{}", serde_json::to_string(request).unwrap()).unwrap();
    stream.write_all(input).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let (mut output, mut errors, mut code) = (Vec::new(), Vec::new(), None);
    let mut rest = &bytes[..];
    while let [kind, a, b, c, d, more @ ..] = rest {
        let (frame, after) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match *kind {
            OUTPUT => output.extend(frame),
            ERRORS => errors.extend(frame),
            _ => code = Some(frame[0]),
        }
        rest = after;
    }
    (output, errors, code)
}

#[test]
fn a_program_over_a_connection_gets_its_input_and_gives_all_its_output_and_its_exit_code() {
    let input = vec![b'x'; 3 * CHUNK + 1];
    let (output, errors, code) = answers(&["sh", "-c", "cat; echo no >&2; exit 7"], &input);
    assert_eq!((output == input, &errors[..], code), (true, &b"no\n"[..], Some(7)));
}

#[test]
fn a_program_that_is_killed_or_is_not_there_has_the_last_exit_code() {
    assert_eq!(answers(&["sh", "-c", "kill -9 $$"], b"").2, Some(KILLED));
    let (_, errors, code) = answers(&["/no/such/program"], b"");
    assert!(String::from_utf8(errors).unwrap().contains("/no/such/program"));
    assert_eq!(code, Some(KILLED));
}
