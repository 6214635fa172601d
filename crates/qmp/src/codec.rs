//! JSON objects out of a stream of bytes, and back.
//!
//! A writer puts one object on a line. A reader is as liberal as QEMU's: objects may follow each other without anything
//! between them, or spread over lines. Where an object ends is found by counting brackets outside of strings, so that
//! nothing is parsed before it is complete and no more than the limit is ever held.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// Why bytes were no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message was complete but no JSON; the ones after it are not affected.
    #[error("JSON parse error, {0}")]
    Syntax(String),
    /// The message grew past the limit. The rest of the stream cannot be made sense of: close it.
    #[error("the message is larger than {0} bytes")]
    TooLarge(usize),
}

/// Takes bytes in as they come and gives messages out as they are complete.
#[derive(Debug)]
pub struct Framer {
    limit: usize,
    partial: Vec<u8>,
    depth: usize,
    place: Place,
    ready: VecDeque<Result<Value, FrameError>>,
    overflowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between messages, or in one but outside of its strings.
    Plain,
    /// In a string.
    Text,
    /// In a string, behind a backslash.
    Escape,
}

impl Framer {
    /// A framer that refuses messages of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let (partial, ready) = (Vec::new(), VecDeque::new());
        Self { limit, partial, depth: 0, place: Place::Plain, ready, overflowed: false }
    }

    /// Takes in what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.overflowed {
                return;
            }
            self.take(byte);
        }
    }

    /// The next complete message, or what is wrong with it; `None` until more is pushed.
    pub fn next_message(&mut self) -> Option<Result<Value, FrameError>> {
        self.ready.pop_front()
    }

    /// Whether the stream ended, if it ends here, in the middle of a message.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    fn take(&mut self, byte: u8) {
        let outside = self.partial.is_empty();
        if outside && byte.is_ascii_whitespace() {
            return;
        }
        if self.partial.len() >= self.limit {
            self.overflowed = true;
            self.partial = Vec::new();
            self.ready.push_back(Err(FrameError::TooLarge(self.limit)));
            return;
        }
        self.partial.push(byte);
        match (self.place, byte) {
            // No string holds a bare control character, and 0xFF is nowhere in UTF-8: whoever sends one starts anew.
            (Place::Text | Place::Escape, 0..0x20) | (_, 0xff) => self.complete(),
            (Place::Text, b'\\') => self.place = Place::Escape,
            (Place::Escape, _) => self.place = Place::Text,
            (Place::Plain, b'"') => self.place = Place::Text,
            (Place::Text, b'"') => {
                self.place = Place::Plain;
                self.complete_at_depth_zero();
            }
            (Place::Text, _) => {}
            (Place::Plain, b'{' | b'[') => self.depth += 1,
            (Place::Plain, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                self.complete_at_depth_zero();
            }
            // A bare word or number is no message, but must not swallow the one after it.
            (Place::Plain, b'\n') if self.depth == 0 => self.complete(),
            (Place::Plain, _) => {}
        }
    }

    fn complete_at_depth_zero(&mut self) {
        if self.depth == 0 {
            self.complete();
        }
    }

    fn complete(&mut self) {
        let message = std::mem::take(&mut self.partial);
        (self.depth, self.place) = (0, Place::Plain);
        let parsed = serde_json::from_slice(&message);
        self.ready.push_back(parsed.map_err(|error| FrameError::Syntax(error.to_string())));
    }
}

/// One message as a line.
///
/// # Errors
/// When `message` has no form in JSON, such as a map whose keys are no strings.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
