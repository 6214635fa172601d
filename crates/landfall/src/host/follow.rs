//! A node's migration, followed to its end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use landfall_node::client::{Client, ClientError};
use landfall_node::model::{MigrationId, MigrationState, MigrationView};

use super::HostError;
use super::asking::{Answer, QUESTION, answer, somebody_is_there};
use crate::interrupts::Interrupts;

/// How often it is looked at whether somebody has pressed Ctrl-C.
const TICK: Duration = Duration::from_millis(100);
/// After such a silence the node is asked how things are.
const SILENCE: Duration = Duration::from_secs(5);
/// A daemon that ends is started again within this time, or it is not waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is tried meanwhile.
const RETRY: Duration = Duration::from_millis(300);
/// For so long the nodes may find out by themselves who has the guest.
const DOUBT: Duration = Duration::from_secs(10);

/// Somebody who sees a migration as it goes on.
pub(super) trait Spectator {
    fn see(&mut self, migration: &MigrationView);
    fn note(&mut self, text: &str);
}

/// How the following of a migration ended.
#[derive(Debug)]
pub(super) enum Followed {
    /// It is over, or stays in doubt.
    Over(Box<MigrationView>),
    /// It goes on: somebody wanted so.
    Detached,
}

/// A migration and those who see and change it.
pub(super) struct Follower<'a> {
    pub(super) client: &'a Arc<Client>,
    pub(super) id: &'a MigrationId,
    pub(super) interrupts: &'a Interrupts,
    pub(super) spectator: &'a mut dyn Spectator,
}

impl Follower<'_> {
    /// Follows it to its end, through the end of the daemon and its coming back.
    pub(super) fn follow(mut self) -> Result<Followed, HostError> {
        let mut stops = Stops::default();
        let mut doubted = None;
        let mut lost: Option<Instant> = None;
        loop {
            let (first, news) = match self.listen() {
                Ok(heard) => heard,
                Err(ClientError::Unreachable { .. })
                    if lost.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
                {
                    // Nothing tells when a daemon is there again.
                    thread::sleep(RETRY);
                    if self.interrupts.count() > 1 {
                        return Err(HostError::Left(self.id.clone()));
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            lost = None;
            let mut heard = Ok(first);
            loop {
                match heard {
                    Ok(view) => {
                        self.spectator.see(&view);
                        if is_over(view.state, &mut doubted) {
                            return Ok(Followed::Over(Box::new(view)));
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if stops.is_left(&mut self)? {
                    return Ok(Followed::Detached);
                }
                heard = self.next(&news, &mut stops);
            }
        }
    }

    /// Listens to the node's events, and asks how things are: whatever happens after the answer is heard.
    fn listen(&self) -> Result<(MigrationView, Receiver<MigrationView>), ClientError> {
        let events = self.client.events(None)?;
        let (sender, receiver) = channel();
        let id = self.id.clone();
        thread::spawn(move || {
            let of_this = |told: &landfall_node::client::Told| {
                told.kind == "migration" && told.subject == id.as_str()
            };
            for told in events.filter(of_this) {
                let Ok(view) = serde_json::from_value(told.data) else { continue };
                if sender.send(view).is_err() {
                    return;
                }
            }
        });
        Ok((self.ask()?, receiver))
    }

    fn ask(&self) -> Result<MigrationView, ClientError> {
        self.client.get(&format!("migrations/{}", self.id))
    }

    fn next(
        &self,
        news: &Receiver<MigrationView>,
        stops: &mut Stops,
    ) -> Result<MigrationView, RecvTimeoutError> {
        let heard = news.recv_timeout(TICK);
        match heard {
            Err(RecvTimeoutError::Timeout) if stops.silent_for() > SILENCE => {
                stops.heard = Instant::now();
                self.ask().map_err(|_| RecvTimeoutError::Disconnected)
            }
            Err(error) => Err(error),
            Ok(view) => {
                stops.heard = Instant::now();
                Ok(view)
            }
        }
    }

    fn cancel(&mut self) -> Result<(), HostError> {
        self.spectator.note("cancelling; the guest stays at the source. Ctrl-C again to not wait");
        match self.client.post::<MigrationView>(&format!("migrations/{}/cancel", self.id), &()) {
            // It was over already, which is seen next.
            Ok(_) | Err(ClientError::Refused { status: 409, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What has become of the user's wishes to stop.
struct Stops {
    seen: u32,
    asked: Option<Receiver<Answer>>,
    heard: Instant,
}

impl Default for Stops {
    fn default() -> Self {
        Self { seen: 0, asked: None, heard: Instant::now() }
    }
}

impl Stops {
    fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Looks whether somebody wants to stop; tells whether the migration is to be left alone.
    fn is_left(&mut self, follower: &mut Follower<'_>) -> Result<bool, HostError> {
        let count = follower.interrupts.count();
        let again = count > 1 && self.seen > 0;
        if again && self.asked.is_some() {
            return Ok(true);
        }
        if again {
            return Err(HostError::Left(follower.id.clone()));
        }
        if count > self.seen {
            self.seen = count;
            if somebody_is_there() {
                follower.spectator.note(QUESTION);
                self.asked = Some(answer());
            } else {
                follower.cancel()?;
            }
        }
        let Some(answered) = self.asked.as_ref().and_then(|asked| asked.try_recv().ok()) else {
            return Ok(false);
        };
        self.asked = None;
        match answered {
            Answer::Detach => return Ok(true),
            Answer::Cancel => follower.cancel()?,
            Answer::GoOn => {
                follower.interrupts.forget();
                self.seen = 0;
            }
        }
        Ok(false)
    }
}

/// Whether nothing more is to be waited for. Most doubts are settled by the nodes within a second.
fn is_over(state: MigrationState, doubted: &mut Option<Instant>) -> bool {
    if state != MigrationState::InDoubt {
        *doubted = None;
        return state.is_final();
    }
    doubted.get_or_insert_with(Instant::now).elapsed() > DOUBT
}
