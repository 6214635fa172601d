//! Takes a guest in, checks it, and runs it once it was given.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::greeting::{Greeted, further_channels, tell_why};
use super::receiving::{Receiving, Voice};
use super::{Arrival, Listener, ReceiveError};
use crate::channel::Channel;
use crate::control::Control;
use crate::descriptors::Taking;
use crate::digest::digest;
use crate::machine::{Destination, Host, MachineError};
use crate::wire::{Commit, Decoder, Finish, Message, Ready, Running, WireError};

/// A migration whose channels are all there.
pub(super) struct Reception {
    pub(super) stream: Channel,
    pub(super) decoder: Decoder,
    voice: Mutex<Voice>,
    pub(super) further: Vec<Greeted>,
}

impl Reception {
    /// The migration that began with `first`, once its further channels have come.
    pub(super) fn of(
        mut first: Greeted,
        listener: &Listener,
        control: &Control,
    ) -> Result<Self, ReceiveError> {
        let further = match further_channels(&first.hello, listener, control) {
            Ok(further) => further,
            Err(error) => return Err(tell_why(&mut first.stream, &mut first.encoder, error)),
        };
        let timeout = Some(listener.source_timeout);
        for greeted in std::iter::once(&first).chain(&further) {
            greeted.stream.set_timeouts(timeout, timeout).map_err(WireError::from)?;
        }
        control.interrupt(first.stream.try_clone().map_err(WireError::from)?);
        let stream = first.stream.try_clone().map_err(WireError::from)?;
        let voice = Mutex::new(Voice { stream, encoder: first.encoder });
        Ok(Self { stream: first.stream, decoder: first.decoder, voice, further })
    }

    pub(super) fn say(&mut self, message: &Message) -> Result<(), WireError> {
        self.voice.get_mut().unwrap_or_else(PoisonError::into_inner).say(message)
    }

    fn fail(&mut self, error: ReceiveError) -> ReceiveError {
        let voice = self.voice.get_mut().unwrap_or_else(PoisonError::into_inner);
        tell_why(&mut voice.stream, &mut voice.encoder, error)
    }

    pub(super) fn take_in(
        mut self,
        host: &mut dyn Host,
        control: &Control,
    ) -> Result<Arrival, ReceiveError> {
        let everything = match self.everything(host, control) {
            Ok(everything) => everything,
            Err(_) if control.is_cancelled() => return Err(self.fail(ReceiveError::Cancelled)),
            Err(error) => return Err(self.fail(error)),
        };
        self.conclude(everything)
    }

    /// Receives the whole guest, and checks it.
    fn everything(
        &mut self,
        host: &mut dyn Host,
        control: &Control,
    ) -> Result<Arrival, ReceiveError> {
        let mut taking = Taking::from(&mut self.stream);
        let first = self.decoder.read(&mut taking)?;
        let descriptors = taking.descriptors();
        let (arrival, load) = match first {
            Message::Configuration(configuration) => self.take_pages_in(host, &configuration)?,
            Message::Memory(runs) => self.take_over(host, &runs, descriptors)?,
            _ => return Err(out_of_order()),
        };
        // Once it was said that all is well here, only the source knows whether the guest was given away. To hang up
        // then would not call anything off, only leave it in doubt.
        if !control.cannot_be_cancelled_any_more() {
            return Err(ReceiveError::Cancelled);
        }
        self.say(&Message::Ready(Ready { load }))?;
        Ok(arrival)
    }

    /// Receives the guest page by page; gives how long checking and loading took.
    fn take_pages_in(
        &mut self,
        host: &mut dyn Host,
        configuration: &[u8],
    ) -> Result<(Arrival, Duration), ReceiveError> {
        let mut machine = host.build(configuration).map_err(ReceiveError::Refused)?;
        self.say(&Message::Accepted)?;
        let (state, finish, received_bytes) = self.receive(machine.as_ref())?;
        let load = load(machine.as_mut(), &state, finish)?;
        Ok((Arrival { machine, in_doubt: false, deed: None, received_bytes }, load))
    }

    /// Takes in all that the source sends. No channel but the first is left when this returns, so that nothing is written
    /// to what is checked afterwards.
    fn receive(
        &mut self,
        machine: &dyn Destination,
    ) -> Result<(Vec<u8>, Finish, u64), ReceiveError> {
        let further = std::mem::take(&mut self.further);
        let enders = further.iter().map(|greeted| greeted.stream.try_clone());
        let enders = enders.collect::<Result<Vec<_>, _>>().map_err(WireError::from)?;
        let receiving = Receiving::new(machine.memory(), &self.voice, enders.len() + 1);
        let (stream, decoder) = (&mut self.stream, &mut self.decoder);
        let received = thread::scope(|scope| {
            let receiving = &receiving;
            let begin = || {
                for greeted in further {
                    let name = format!("receive{}", greeted.hello.channel);
                    thread::Builder::new()
                        .name(name)
                        .spawn_scoped(scope, move || receiving.serve(greeted))
                        .map_err(WireError::from)?;
                }
                Ok(())
            };
            let begun = begin();
            let received = begun.and_then(|()| until_finish(receiving, decoder, stream));
            receiving.is_over();
            enders.iter().for_each(Channel::shutdown);
            received
        });
        let (state, finish) = match (received, receiving.failure()) {
            // The source has called it off and ended all channels, or a channel has failed and the source heard of it.
            (Err(ReceiveError::CalledOff(reason)), Some(cause)) if is_end(&cause) => {
                return Err(ReceiveError::CalledOff(reason));
            }
            (_, Some(cause)) => return Err(cause),
            (received, None) => received?,
        };
        Ok((state, finish, receiving.bytes()))
    }

    /// Everything is here and the source knows it. The guest runs only if the source gives it away; without its word it
    /// may still run there.
    fn conclude(mut self, arrival: Arrival) -> Result<Arrival, ReceiveError> {
        match self.decoder.read(&mut self.stream) {
            Ok(Message::Commit(commit)) => self.run(arrival, commit),
            Ok(Message::Cancel { reason }) => Err(ReceiveError::CalledOff(reason)),
            Ok(_) | Err(_) => Ok(Arrival { in_doubt: true, ..arrival }),
        }
    }

    fn run(&mut self, mut arrival: Arrival, commit: Commit) -> Result<Arrival, ReceiveError> {
        let began = Instant::now();
        let machine = arrival.machine.as_mut();
        let claimed = machine.claim();
        if let Some(deed) = &mut arrival.deed {
            if let Err(error) = claimed {
                machine.let_go();
                return self.give_back(arrival, &error);
            }
            if !deed.take() {
                machine.let_go();
                return Err(ReceiveError::CalledOff("it has taken the guest back".to_owned()));
            }
            // From here on nobody else can run it.
        }
        let started = claimed.and_then(|()| if commit.run { machine.resume() } else { Ok(()) });
        if let Err(error) = started {
            self.tell_not_started(&error);
            return Ok(Arrival { in_doubt: true, ..arrival });
        }
        // The guest is here whether the source hears of it or not.
        let _ = self.say(&Message::Running(Running { resume: began.elapsed() }));
        Ok(Arrival { deed: None, ..arrival })
    }

    fn tell_not_started(&mut self, error: &MachineError) {
        let reason = format!("the guest was given away but could not be started: {error}");
        tracing::error!("{reason}");
        let _ = self.say(&Message::Failed { reason });
    }

    /// A guest that was handed over cannot be started, and nobody has taken it: the source does when it hears of that.
    fn give_back(
        &mut self,
        arrival: Arrival,
        error: &MachineError,
    ) -> Result<Arrival, ReceiveError> {
        self.tell_not_started(error);
        match self.decoder.read(&mut self.stream) {
            Ok(Message::Cancel { reason }) => Err(ReceiveError::CalledOff(reason)),
            Ok(_) | Err(_) => Ok(Arrival { in_doubt: true, ..arrival }),
        }
    }
}

fn out_of_order() -> ReceiveError {
    WireError::Unexpected("something else than the configuration").into()
}

/// Whether nothing but the connection's end is told.
fn is_end(error: &ReceiveError) -> bool {
    matches!(error, ReceiveError::Wire(WireError::Closed | WireError::Io(_)))
}

/// Takes in the first channel's pages and all that is said, up to the end.
fn until_finish(
    receiving: &Receiving<'_>,
    decoder: &mut Decoder,
    stream: &mut Channel,
) -> Result<(Vec<u8>, Finish), ReceiveError> {
    let mut state = None;
    loop {
        match receiving.until_other(0, decoder, stream)? {
            Message::State(bytes) => state = Some(bytes),
            Message::Finish(finish) => {
                let state =
                    state.ok_or(WireError::Unexpected("the end without the guest's state"))?;
                return Ok((state, finish));
            }
            Message::Cancel { reason } => return Err(ReceiveError::CalledOff(reason)),
            _ => {
                return Err(WireError::Unexpected("something that is no part of a guest").into());
            }
        }
    }
}

/// Compares what there is with what the source has, and loads the state; gives how long both took.
pub(super) fn load(
    machine: &mut dyn Destination,
    state: &[u8],
    finish: Finish,
) -> Result<Duration, ReceiveError> {
    let began = Instant::now();
    if let Some(expected) = finish.digest {
        let found = digest(machine.memory().as_ref(), state).map_err(ReceiveError::Memory)?;
        if found != expected {
            return Err(ReceiveError::Digest(found, expected));
        }
    }
    machine.load(state).map_err(ReceiveError::Load)?;
    Ok(began.elapsed())
}
