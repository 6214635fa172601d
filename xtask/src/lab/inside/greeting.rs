//! A destination that dies while it is greeted.

use std::io::{self, BufRead, Write};
use std::net::TcpListener;

use super::helper::Helper;
use super::place::Place;

/// What is said when somebody can connect.
const LISTENS: &str = "listens";

/// Waits at `address` until somebody has connected and said something, and ends without a word.
pub(super) fn die_when_greeted(address: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{address}: {error}");
    let listener = TcpListener::bind(address).map_err(failed)?;
    println!("{LISTENS}");
    io::stdout().flush().map_err(failed)?;
    let (stream, _) = listener.accept().map_err(failed)?;
    stream.peek(&mut [0]).map(drop).map_err(failed)
}

/// One at `place` that does so, and can be connected to.
pub(super) fn mortal(place: Place, address: &str) -> Result<Helper, String> {
    let (helper, mut output) = Helper::at(place, &["greeted", address])?;
    let mut line = String::new();
    output.read_line(&mut line).map_err(|error| error.to_string())?;
    if line.trim_end() == LISTENS {
        Ok(helper)
    } else {
        Err(format!("nobody listens at {address}: {line:?}"))
    }
}
