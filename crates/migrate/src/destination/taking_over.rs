//! Takes over the memory in which the guest runs, from another process of this host.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::taking_in::{Reception, load};
use super::{Arrival, ReceiveError};
use crate::deed::Deed;
use crate::machine::{Host, MemoryFile};
use crate::wire::{Finish, Message, PageRun, WireError};

impl Reception {
    /// Has the machine built around the memory that has come, in which the guest goes on until it is stopped, and takes its
    /// state; gives how long checking and loading took.
    pub(super) fn take_over(
        &mut self,
        host: &mut dyn Host,
        runs: &[PageRun],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Arrival, Duration), ReceiveError> {
        if self.stream.unix().is_none() {
            return Err(ReceiveError::NotHandedOver(
                "file descriptors pass between processes of one host only, over a Unix socket",
            ));
        }
        if !self.further.is_empty() {
            return Err(WireError::Unexpected("the memory itself over several channels").into());
        }
        let (memory, deed) = files(runs, descriptors)?;
        let Message::Configuration(configuration) = self.decoder.read(&mut self.stream)? else {
            return Err(WireError::Unexpected("something else than the configuration").into());
        };
        let taken = host.take_over(&configuration, memory);
        let mut machine = taken.map_err(ReceiveError::Refused)?;
        self.say(&Message::Accepted)?;
        let (state, finish) = self.state_alone()?;
        let load = load(machine.as_mut(), &state, finish)?;
        Ok((Arrival { machine, in_doubt: false, deed: Some(deed), received_bytes: 0 }, load))
    }

    /// The state, without any page: the guest at the source would find it in its memory.
    fn state_alone(&mut self) -> Result<(Vec<u8>, Finish), ReceiveError> {
        let mut state = None;
        loop {
            match self.decoder.read(&mut self.stream)? {
                Message::State(bytes) => state = Some(bytes),
                Message::Finish(finish) => {
                    let none = WireError::Unexpected("the end without the guest's state");
                    return Ok((state.ok_or(none)?, finish));
                }
                Message::Cancel { reason } => return Err(ReceiveError::CalledOff(reason)),
                _ => {
                    let what = "something else than the state of a guest that is handed over";
                    return Err(WireError::Unexpected(what).into());
                }
            }
        }
    }
}

/// The files of memory, and the deed, which comes last.
fn files(
    runs: &[PageRun],
    mut descriptors: Vec<OwnedFd>,
) -> Result<(Vec<MemoryFile>, Deed), ReceiveError> {
    let deed = descriptors.pop().filter(|_| descriptors.len() == runs.len());
    let deed = deed.ok_or(ReceiveError::NotHandedOver(
        "its file descriptors did not come along; what stands between the two processes passes on bytes alone, so have \
         them connect directly",
    ))?;
    let file =
        |(run, file): (&PageRun, OwnedFd)| MemoryFile { first: run.first, count: run.count, file };
    Ok((runs.iter().zip(descriptors).map(file).collect(), Deed::received(deed)))
}
