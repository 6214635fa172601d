//! Lets one lab machine run programs on another: each over a connection of its own, on which the program's input goes one
//! way and its output the other, until it ends.
//!
//! A request is the program and its arguments as a line of JSON; then comes its input. Back come frames: a byte that says of
//! what, the length in four, and the bytes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::lab::machine::READY;
use crate::lab::network::SERVICE;

/// What a frame has.
const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
/// The exit code; 255 stands for a program that was killed.
const CODE: u8 = 3;
const KILLED: u8 = 255;
/// So much is passed on at a time.
const CHUNK: usize = 16 << 10;

/// Runs what it is asked to, until the machine goes down.
pub(super) fn serve() -> Result<(), String> {
    let listener = TcpListener::bind(("0.0.0.0", SERVICE)).map_err(|error| error.to_string())?;
    println!("{READY}");
    loop {
        let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
        thread::spawn(move || {
            if let Err(error) = run_for(stream) {
                println!("a program was not run to its end: {error}");
            }
        });
    }
}

fn run_for(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    input.read_line(&mut request)?;
    let words: Vec<String> = serde_json::from_str(&request)?;
    let frames = Frames(Mutex::new(stream));
    let [program, arguments @ ..] = &words[..] else {
        return frames.add(CODE, &[KILLED]);
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            frames.add(ERRORS, format!("{program}: {error}\n").as_bytes())?;
            return frames.add(CODE, &[KILLED]);
        }
    };
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut to), Some(output), Some(errors)) = streams else {
        return Err(io::Error::other("a program without input or output"));
    };
    // It ends with the connection.
    thread::spawn(move || {
        let mut chunk = [0; CHUNK];
        while let Ok(count @ 1..) = input.read(&mut chunk) {
            if to.write_all(&chunk[..count]).and_then(|()| to.flush()).is_err() {
                break;
            }
        }
    });
    let status = thread::scope(|scope| {
        let output = scope.spawn(|| frames.pass_on(OUTPUT, output));
        frames.pass_on(ERRORS, errors);
        // What went wrong with it is told by the frame that does not come.
        let _ = output.join();
        child.wait()
    })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(KILLED);
    frames.add(CODE, &[code])?;
    frames.end()
}

/// The way back.
struct Frames(Mutex<TcpStream>);

impl Frames {
    fn add(&self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let frame = [&[kind], &length.to_be_bytes()[..], bytes].concat();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
    }

    /// Passes on all that comes from a program; what nobody takes any more is read all the same, so that it can go on.
    fn pass_on(&self, kind: u8, mut from: impl Read) {
        let mut chunk = [0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let _ = self.add(kind, &chunk[..count]);
        }
    }

    fn end(&self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both)
    }
}

/// Runs a program at `address`, with this one's input and output, and ends as it does.
pub(super) fn run_at(address: &str, command: &[&str]) -> ExitCode {
    match ran(address, command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {} at {address}: {error}", command.join(" "));
            ExitCode::from(KILLED)
        }
    }
}

fn ran(address: &str, command: &[&str]) -> io::Result<u8> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    writeln!(stream, "{}", serde_json::to_string(command)?)?;
    let mut input = stream.try_clone()?;
    thread::spawn(move || {
        let mut chunk = [0; CHUNK];
        while let Ok(count @ 1..) = io::stdin().read(&mut chunk) {
            if input.write_all(&chunk[..count]).is_err() {
                return;
            }
        }
        // It has ended, or does not listen any more.
        let _ = input.shutdown(Shutdown::Write);
    });
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut bytes)?;
        match (kind, &bytes[..]) {
            (OUTPUT, bytes) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())?,
            (ERRORS, bytes) => io::stderr().write_all(bytes)?,
            (CODE, [code]) => return Ok(*code),
            _ => return Err(io::Error::other("what comes back is not understood")),
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
