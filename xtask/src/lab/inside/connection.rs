//! A connection from a guest to the world outside: all that is sent to the guest must come back, byte by byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// So much is under way at a time.
const CHUNK: usize = 8 << 10;
/// Far longer than anything here takes, on however slow a host.
const LIMIT: Duration = Duration::from_secs(240);

/// A connection on which bytes go round all the time.
pub(super) struct Connection {
    /// How many chunks have come back, told at each.
    news: Receiver<Result<u64, String>>,
    chunks: u64,
    /// Only its end is ever heard.
    finish: Option<Sender<()>>,
}

impl Connection {
    /// Waits for the guest at `port`, in the background.
    pub(super) fn expected_at(port: u16) -> Result<Self, String> {
        let listener = TcpListener::bind(("0.0.0.0", port)).map_err(|error| error.to_string())?;
        let (sender, news) = channel();
        let (finish, finished) = channel();
        thread::spawn(move || {
            let ended = go_round(&listener, &sender, &finished);
            // Nobody listens when the trial is over.
            let _ = ended.map_err(|error| sender.send(Err(error)));
        });
        Ok(Self { news, chunks: 0, finish: Some(finish) })
    }

    /// Returns when bytes have gone round that were sent after this was asked.
    pub(super) fn flows(&mut self) -> Result<(), String> {
        while let Ok(news) = self.news.try_recv() {
            self.chunks = news?;
        }
        // One chunk may be on its way.
        let wanted = self.chunks + 2;
        while self.chunks < wanted {
            let news = self.news.recv_timeout(LIMIT);
            self.chunks = news.map_err(|_| "the guest's connection has come to a stand")??;
        }
        Ok(())
    }

    /// Ends it; how many bytes went round.
    pub(super) fn finish(mut self) -> Result<u64, String> {
        drop(self.finish.take());
        loop {
            match self.news.recv_timeout(LIMIT) {
                Ok(news) => self.chunks = news?,
                Err(RecvTimeoutError::Disconnected) => return Ok(self.chunks * CHUNK as u64),
                Err(RecvTimeoutError::Timeout) => {
                    return Err("the guest's connection does not end".to_owned());
                }
            }
        }
    }
}

/// Sends a chunk and waits for it, until it is to finish; then nothing more may come.
fn go_round(
    listener: &TcpListener,
    news: &Sender<Result<u64, String>>,
    finished: &Receiver<()>,
) -> Result<(), String> {
    let lost = |error: std::io::Error| format!("the guest's connection is lost: {error}");
    let (mut stream, _) = listener.accept().map_err(lost)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(lost)?;
    let (mut chunks, mut back) = (0, vec![0; CHUNK]);
    while finished.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
        let chunk = chunk(chunks);
        stream.write_all(&chunk).map_err(lost)?;
        stream.read_exact(&mut back).map_err(lost)?;
        if back != chunk {
            return Err(format!("chunk {chunks} of the guest's connection came back changed"));
        }
        chunks += 1;
        let _ = news.send(Ok(chunks));
    }
    end(&mut stream).map_err(lost)
}

fn end(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let mut more = Vec::new();
    match stream.read_to_end(&mut more)? {
        0 => Ok(()),
        count => Err(std::io::Error::other(format!("{count} bytes came that were never sent"))),
    }
}

/// Bytes that are others in each chunk, and at each place in it.
fn chunk(number: u64) -> Vec<u8> {
    let words =
        (0..CHUNK as u64 / 8).map(|word| (number << 32 | word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}
