//! What all phases share: the machine, the controller, the events that are waited for, and what happens on failure.

mod ending;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use landfall_converge::{
    ByteRate, Bytes, Controller, Decision, GuestShape, Harvest, Pages, Policy, Sample, Sampling,
    VcpuThrottles,
};

pub(super) use self::ending::taken_over;
use super::costs::Costs;
use super::ended::Ended;
use super::sender::{Command, Counters, WalkOrder};
use super::spread::{Left, Spread};
use super::unsent::Unsent;
use crate::bucket::TokenBucket;
use crate::channel::{Channel, ConnectError};
use crate::control::{Control, Request};
use crate::deed::Deed;
use crate::digest::digest_time;
use crate::dirty_set::{DirtySet, WindowUnion};
use crate::heat::{Heat, Thermometer};
use crate::machine::{DirtySink, MachineError, PageIndex, Source, VcpuThrottle};
use crate::options::{Adjustment, EncodingChoice, Options};
use crate::progress::{Observer, Phase, Progress};
use crate::recorder::Recorder;
use crate::report::{EventKind, Outcome, Report};
use crate::wire::{Message, WireError};

/// How often the controller is asked, whatever the policy; also how often watchers hear.
const TICK: Duration = Duration::from_millis(50);
/// Where all that was known is sent, the dirty log is read at once, but not sooner than this after the last time, nor
/// before ten times what it takes to read: with an idle guest it would be read all the time.
const SOONEST: Duration = Duration::from_millis(10);
const READING_SHARE: u32 = 10;
/// A destination that hears nothing on a channel for much longer takes the source to be gone.
pub(super) const LIFE_SIGN: Duration = Duration::from_secs(1);
/// How long the guest is left alone after a switchover that did not fit; twice as long after each, up to the second.
const PATIENCE: Duration = Duration::from_millis(100);
const MOST_PATIENCE: Duration = Duration::from_secs(3);
/// How long the other side's reason is waited for after the connection broke under a write.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What the migration's own thread is told.
#[derive(Debug)]
pub(super) enum Event {
    /// Connections were made, or were not.
    Connected(Result<Vec<Channel>, ConnectError>),
    /// A channel's part of the dirty set was sent once from its first page to its last, or to where it was cut.
    WalkSent { cut_at: Option<PageIndex> },
    /// A message has left.
    Sent,
    /// Nothing leaves any more.
    SendFailed(WireError),
    /// Guest memory could not be read.
    MemoryFailed(MachineError),
    /// The sender of this channel has done all that it was told, and ends.
    SenderGone(u16),
    /// The destination said something.
    Peer(Message),
    /// The destination says nothing any more.
    PeerGone(WireError),
    /// Somebody wants something.
    Requested(Request),
}

/// The connections and the threads that serve them. All that is said and heard goes over the first.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) channels: Vec<LinkChannel>,
    pub(super) reader: JoinHandle<()>,
}

/// One connection, and who sends over it.
#[derive(Debug)]
pub(super) struct LinkChannel {
    pub(super) stream: Channel,
    pub(super) commands: Sender<Command>,
    pub(super) sender: JoinHandle<()>,
}

/// What a step of the pre-copy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Going,
    PassEnded,
    SwitchOver,
}

/// One migration, from the source's side.
pub(super) struct Run<'m> {
    pub(super) machine: &'m mut dyn Source,
    pub(super) options: Options,
    pub(super) control: Control,
    observer: &'m mut dyn Observer,
    pub(super) events: Receiver<Event>,
    pub(super) post: Sender<Event>,
    pub(super) controller: Controller,
    throttle: Arc<dyn VcpuThrottle>,
    pub(super) dirty: Arc<DirtySet>,
    window: WindowUnion,
    pub(super) heat: Arc<Heat>,
    thermometer: Thermometer,
    pub(super) bucket: Arc<TokenBucket>,
    pub(super) counters: Arc<Counters>,
    pub(super) recorder: Recorder,
    pub(super) link: Option<Link>,
    /// In a hand-over, once the destination may have its copy: the guest may run here again only for who takes it.
    pub(super) deed: Option<Deed>,
    pub(super) logging: bool,
    pub(super) paused: bool,
    /// The guest was given away: nobody can call it off any more.
    pub(super) committed: bool,
    pub(super) pass: u32,
    pub(super) costs: Costs,
    /// Bytes that left a second while the guest ran.
    pub(super) precopy_rate: Option<ByteRate>,
    precopy_began: Option<Instant>,
    /// A switchover that did not fit is not tried again before; the number counts them.
    next_attempt: Instant,
    attempts: u32,
    /// When the destination was last told anything.
    spoke: Instant,
    progress: Progress,
    /// Senders that are on their way through the dirty set, for the `walks`th time.
    walking: usize,
    /// Where the walk under way was cut, on the channel that did not come as far as the others.
    cut_at: Option<PageIndex>,
    pub(super) spread: Spread,
    idle: Idle,
    walks: u32,
    next_tick: Instant,
    sampled: SampledAt,
    unsent: Unsent,
    /// Bytes and pages that had left when the first pass ended.
    first_pass: Option<(u64, u64)>,
    harvested: HarvestedAt,
}

#[derive(Clone, Copy, Debug)]
struct SampledAt {
    time: Instant,
    sent: u64,
    pages: u64,
}

#[derive(Clone, Debug)]
struct HarvestedAt {
    time: Instant,
    /// By vCPU.
    stolen: Vec<Duration>,
}

/// For how long senders had nothing to do.
#[derive(Clone, Copy, Debug)]
struct Idle {
    total: Duration,
    /// Since when they have had nothing, if so.
    since: Option<Instant>,
}

impl Idle {
    fn since(now: Instant) -> Self {
        Self { total: Duration::ZERO, since: Some(now) }
    }

    fn ends(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.total += now.saturating_duration_since(since);
        }
    }

    /// The time so far, which begins again from zero.
    fn take(&mut self, now: Instant) -> Duration {
        let was_idle = self.since.is_some();
        self.ends(now);
        self.since = was_idle.then_some(now);
        std::mem::take(&mut self.total)
    }
}

fn controller(options: &Options, guest: GuestShape) -> Controller {
    let controller = Controller::new(options.policy, options.limits, guest);
    let controller = controller.with_stepped(options.stepped);
    match options.encoding {
        EncodingChoice::Auto | EncodingChoice::Delta => controller.with_deltas(),
        EncodingChoice::None | EncodingChoice::Lz4 | EncodingChoice::Zstd => controller,
    }
}

fn mean(times: &[Duration]) -> Option<Duration> {
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    Some(times.iter().sum::<Duration>() / count)
}

/// What one harvest gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Harvested {
    dirtied: Pages,
    newly: Pages,
}

struct HarvestSink<'a> {
    dirty: &'a DirtySet,
    window: &'a mut WindowUnion,
    thermometer: &'a mut Thermometer,
    harvested: Harvested,
    by_vcpu: Vec<Pages>,
}

impl DirtySink for HarvestSink<'_> {
    fn mark(&mut self, word: u64, bits: u64) {
        self.window.add(word, bits);
        self.thermometer.found(word, bits);
        self.harvested.dirtied += Pages(u64::from(bits.count_ones()));
        self.harvested.newly += self.dirty.merge(word, bits);
    }

    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        if self.by_vcpu.len() <= vcpu {
            self.by_vcpu.resize(vcpu + 1, Pages(0));
        }
        self.by_vcpu[vcpu] += pages;
    }
}

impl<'m> Run<'m> {
    pub(super) fn new(
        machine: &'m mut dyn Source,
        options: &Options,
        control: Control,
        observer: &'m mut dyn Observer,
    ) -> Self {
        let (post, events) = channel();
        control.forward(post.clone(), Event::Requested);
        let memory = machine.memory();
        let throttle = machine.throttle();
        throttle.reset_stolen();
        let shape = GuestShape { memory: memory.layout().pages(), vcpus: throttle.stolen().len() };
        let now = Instant::now();
        Self {
            controller: controller(options, shape),
            dirty: Arc::new(DirtySet::full(memory.layout())),
            window: WindowUnion::new(memory.layout()),
            heat: Arc::new(Heat::new(memory.layout())),
            thermometer: Thermometer::new(memory.layout()),
            bucket: Arc::new(TokenBucket::new(options.max_bandwidth)),
            counters: Arc::default(),
            recorder: Recorder::new(now),
            link: None,
            deed: None,
            logging: false,
            paused: false,
            committed: false,
            pass: 0,
            costs: Costs::new(),
            precopy_rate: None,
            precopy_began: None,
            next_attempt: now,
            attempts: 0,
            spoke: now,
            progress: Progress {
                total: shape.memory,
                remaining: shape.memory,
                ..Progress::default()
            },
            walking: 0,
            cut_at: None,
            spread: Spread::over(1),
            idle: Idle::since(now),
            walks: 0,
            next_tick: now + TICK,
            sampled: SampledAt { time: now, sent: 0, pages: 0 },
            unsent: Unsent::default(),
            first_pass: None,
            harvested: HarvestedAt { time: now, stolen: vec![Duration::ZERO; shape.vcpus] },
            options: options.clone(),
            machine,
            control,
            observer,
            events,
            post,
            throttle,
        }
    }

    /// Tells watchers and the record that a phase begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.progress.phase = phase;
        self.recorder.event(EventKind::Phase { phase });
        self.observer.phase(phase);
        self.publish();
    }

    /// Waits for something to happen until `until`. What ends the migration comes back as an error; what others want to
    /// be changed is changed.
    pub(super) fn next(&mut self, until: Instant) -> Result<Option<Event>, Ended> {
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                // Impossible, for `self.post` lives; and harmless.
                Err(RecvTimeoutError::Disconnected) => return Err(Ended::Cancelled),
                // What was given away cannot be called off; the destination may run it already.
                Ok(Event::Requested(Request::Cancel)) if self.committed => {}
                Ok(Event::Requested(Request::Cancel)) => return Err(Ended::Cancelled),
                Ok(Event::Requested(Request::Adjust(adjustment))) => self.adjust(adjustment),
                Ok(Event::Peer(Message::Failed { reason })) => {
                    return Err(Ended::PeerFailed(reason));
                }
                // All that it said was heard before: there is nothing to wait for while the guest may stand still.
                Ok(Event::PeerGone(error)) => return Err(self.lost_for(error)),
                Ok(Event::SendFailed(error)) => return Err(self.lost(error)),
                Ok(Event::MemoryFailed(error)) => {
                    return Err(Ended::Machine("read its memory", error));
                }
                Ok(Event::WalkSent { cut_at }) if self.walking > 1 => {
                    self.walking -= 1;
                    self.note_cut(cut_at);
                }
                Ok(event @ Event::WalkSent { cut_at }) => {
                    self.walking = 0;
                    self.note_cut(cut_at);
                    self.spoke = Instant::now();
                    self.idle = Idle { since: Some(self.spoke), ..self.idle };
                    self.costs.asked(self.walks, self.spoke);
                    return Ok(Some(event));
                }
                Ok(Event::Peer(Message::PassReceived { pass })) => {
                    self.costs.answered(pass, Instant::now());
                    return Ok(Some(Event::Peer(Message::PassReceived { pass })));
                }
                Ok(event) => return Ok(Some(event)),
            }
        }
    }

    /// Waits for what `wanted` picks out; ticks go on meanwhile.
    pub(super) fn expect<T>(
        &mut self,
        what: &'static str,
        mut wanted: impl FnMut(Event) -> Option<T>,
    ) -> Result<T, Ended> {
        let deadline = Instant::now() + self.options.peer_timeout;
        loop {
            match self.next(deadline)? {
                None => return Err(Ended::Silent(self.options.peer_timeout, what)),
                Some(event) => {
                    if let Some(found) = wanted(event) {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// The connection broke. If the destination has said why, that is the better reason: it may arrive after the error.
    fn lost(&mut self, error: WireError) -> Ended {
        let until = Instant::now() + LAST_WORDS;
        while let Ok(event) =
            self.events.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            match event {
                Event::Peer(Message::Failed { reason }) => return Ended::PeerFailed(reason),
                Event::PeerGone(error @ WireError::Tls(_)) => return self.lost_for(error),
                Event::Requested(Request::Cancel) | Event::PeerGone(_) => break,
                _ => {}
            }
        }
        self.lost_for(error)
    }

    fn lost_for(&self, error: WireError) -> Ended {
        match error {
            _ if self.control.is_cancelled() && !self.committed => Ended::Cancelled,
            WireError::Timeout => Ended::Silent(self.options.peer_timeout, "pages were sent to it"),
            WireError::Tls(error) => Ended::Insecure(landfall_identity::describe(&error)),
            error => Ended::Lost(error),
        }
    }

    fn adjust(&mut self, adjustment: Adjustment) {
        if let Some(limits) = adjustment.limits {
            self.options.limits = limits;
            self.controller.set_limits(limits);
        }
        if let Some(rate) = adjustment.max_bandwidth {
            self.options.max_bandwidth = rate;
            self.bucket.set_rate(rate);
        }
    }

    /// Has something said.
    pub(super) fn command(&self, command: Command) -> Result<(), Ended> {
        let first = self.link.as_ref().and_then(|link| link.channels.first());
        let sent = first.map(|channel| channel.commands.send(command));
        // A sender that is gone has said why before it went.
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(Ended::Lost(WireError::Closed)) }
    }

    pub(super) fn begin_pass(&mut self) -> Result<(), Ended> {
        if self.pass == 1 {
            self.first_pass = Some((self.counters.bytes(), self.counters.pages()));
        }
        self.pass += 1;
        self.recorder.event(EventKind::Pass { pass: self.pass });
        self.progress.pass = self.pass;
        self.observer.pass(self.pass);
        if self.is_walking() {
            return Ok(());
        }
        if self.pass == 1 { self.walk_to_tell(PageIndex(0)) } else { self.walk().map(drop) }
    }

    /// Has the dirty set sent once from its first page to its last; gives the number by which the destination will
    /// acknowledge it.
    pub(super) fn walk(&mut self) -> Result<u32, Ended> {
        self.walk_from(PageIndex(0), None)
    }

    /// Has it sent from `from` on, for a moment if that is to tell how many channels are best.
    fn walk_to_tell(&mut self, from: PageIndex) -> Result<(), Ended> {
        let until = self.spread.begins(self.walks + 1, Instant::now(), self.left());
        self.walk_from(from, until).map(drop)
    }

    fn walk_from(&mut self, from: PageIndex, until: Option<Instant>) -> Result<u32, Ended> {
        self.walks += 1;
        let order = WalkOrder {
            number: self.walks,
            again: self.pass > 1,
            from,
            channels: self.spread.channels(),
            until,
        };
        let channels = self.link.as_ref().map(|link| &link.channels[..]).unwrap_or_default();
        for channel in channels {
            // A sender that is gone has said why before it went.
            let sent = channel.commands.send(Command::Walk(order));
            sent.map_err(|_| Ended::Lost(WireError::Closed))?;
        }
        self.idle.ends(Instant::now());
        // What was asked for before and is still under way is counted, too.
        self.walking += channels.len();
        Ok(self.walks)
    }

    /// Whether walks of the first pass are to tell how many channels are best.
    pub(super) fn tries_channels(&self) -> bool {
        let by_timer = matches!(self.options.policy.sampling(), Sampling::Timer(_));
        self.options.channels_by_speed && by_timer
    }

    /// Whether pages are being sent, or are about to be.
    fn is_walking(&self) -> bool {
        self.walking > 0 || self.spread.waits()
    }

    fn note_cut(&mut self, cut_at: Option<PageIndex>) {
        self.cut_at = [self.cut_at, cut_at].into_iter().flatten().min();
    }

    /// What has left so far.
    fn left(&self) -> Left {
        let counts = self.counters.page_counts();
        Left { zeros: counts.zero, others: self.counters.pages() - counts.zero }
    }

    /// Waits for the next tick or event of the pre-copy, and does what is due.
    pub(super) fn precopy_step(&mut self) -> Result<Step, Ended> {
        match self.next(self.next_tick)? {
            None => {
                self.next_tick = Instant::now() + TICK;
                match self.options.policy.sampling() {
                    Sampling::Timer(_) => self.sample_by_timer(),
                    Sampling::PassEnd => self.sample_at_pass_end(),
                }
            }
            Some(Event::WalkSent { .. }) if self.spread.walk_left(self.cut_at.is_some()) => {
                if self.spread.goes_on() {
                    self.go_on()?;
                }
                Ok(Step::Going)
            }
            Some(Event::WalkSent { .. }) => match self.options.policy.sampling() {
                Sampling::Timer(_) => self.pass_was_sent(),
                Sampling::PassEnd => self.sample_at_pass_end(),
            },
            Some(Event::Peer(Message::PassReceived { pass })) => {
                if self.spread.arrived(pass, Instant::now(), self.left()) {
                    self.go_on()?;
                }
                Ok(Step::Going)
            }
            Some(_) => Ok(Step::Going),
        }
    }

    /// Goes on with a walk that was cut.
    fn go_on(&mut self) -> Result<(), Ended> {
        let from = self.cut_at.take().unwrap_or(PageIndex(0));
        self.walk_to_tell(from)
    }

    /// The next pass follows at once; where nothing is known that could be sent, with what the dirty log has by now.
    fn pass_was_sent(&mut self) -> Result<Step, Ended> {
        let soonest = self.harvested.time + SOONEST.max(self.costs.sync() * READING_SHARE);
        if self.dirty.pages() > Pages(0) {
            self.begin_pass()?;
        } else if Instant::now() >= soonest {
            self.next_tick = Instant::now() + TICK;
            let step = self.sample_by_timer()?;
            return Ok(if step == Step::Going { Step::PassEnded } else { step });
        } else {
            self.next_tick = self.next_tick.min(soonest);
        }
        Ok(Step::PassEnded)
    }

    /// Passes end when all of them was sent; the dirty log is read whenever it is time.
    fn sample_by_timer(&mut self) -> Result<Step, Ended> {
        let step = self.sample(true, false)?;
        if step == Step::Going && !self.is_walking() {
            self.next_pass_if_dirty()?;
            if self.walking == 0 && self.spoke.elapsed() >= LIFE_SIGN {
                // A walk over nothing: its end is answered, so that both sides know that the other lives.
                self.walk()?;
            }
        }
        Ok(step)
    }

    fn next_pass_if_dirty(&mut self) -> Result<(), Ended> {
        if self.dirty.pages() > Pages(0) { self.begin_pass() } else { Ok(()) }
    }

    /// As QEMU does: a pass ends when what is left of it would fit into the downtime, the dirty log is read only then,
    /// and sending goes round and round meanwhile.
    fn sample_at_pass_end(&mut self) -> Result<Step, Ended> {
        let ended = self.dirty.pages() <= self.controller.pass_ends_at();
        let step = self.sample(ended, true)?;
        if step == Step::Going && ended {
            self.begin_pass()?;
            return Ok(Step::PassEnded);
        }
        if step == Step::Going && self.walking == 0 {
            self.walk()?;
        }
        Ok(step)
    }

    /// Measures, asks the controller, and does what it decides, but for the switchover.
    fn sample(&mut self, harvest: bool, ended_pass: bool) -> Result<Step, Ended> {
        let harvest = if harvest { Some(self.harvest(ended_pass)?) } else { None };
        if self.costs.doubts_check(self.options.limits.max_downtime, Instant::now()) {
            self.weigh_check()?;
        }
        let now = Instant::now();
        let (sent, pages) = (self.counters.bytes(), self.counters.pages());
        // What left in the first pass was sent for the first time.
        let (bytes_before, pages_before) = self.first_pass.unwrap_or((u64::MAX, u64::MAX));
        let sample = Sample {
            elapsed: now - self.sampled.time,
            pass: self.pass,
            sent: Bytes(sent - self.sampled.sent),
            sent_pages: Pages(pages - self.sampled.pages),
            resent: Bytes(sent.saturating_sub(bytes_before.max(self.sampled.sent))),
            resent_pages: Pages(pages.saturating_sub(pages_before.max(self.sampled.pages))),
            idle: self.idle_time(now),
            remaining: self.dirty.pages(),
            fixed_downtime: self.costs.fixed_downtime(now),
            harvest,
        };
        let bandwidth = ByteRate::of(sample.sent, sample.elapsed);
        self.sampled = SampledAt { time: now, sent, pages };
        let decision = self.controller.step(sample);
        let channels = self.link.as_ref().map(|link| &link.channels[..]).unwrap_or_default();
        let channels = &channels[..channels.len().min(self.spread.channels().into())];
        self.unsent.follow(self.controller.estimates().bandwidth, channels);
        match &decision {
            Decision::Throttle(throttles) => {
                self.throttle.set(throttles);
                self.recorder.throttle(throttles.hardest(), self.controller.reason());
            }
            Decision::GiveUp(reason) => {
                let text = format!("{reason}; {}", self.controller.verdict().text);
                self.publish();
                return Err(Ended::GaveUp(text));
            }
            Decision::KeepOn | Decision::SwitchOver => {}
        }
        self.recorder.verdict(self.controller.verdict());
        self.publish();
        self.recorder.point(&self.progress, bandwidth);
        let due = decision == Decision::SwitchOver && now >= self.next_attempt;
        Ok(if due { Step::SwitchOver } else { Step::Going })
    }

    /// Finds out what comparing both ends is going to take.
    pub(super) fn weigh_check(&mut self) -> Result<(), Ended> {
        let memory = self.machine.memory();
        let time = digest_time(memory.as_ref())
            .map_err(|error| Ended::Machine("read its memory", error))?;
        // First here, then there.
        self.costs.checks_in(time * 2, Instant::now());
        Ok(())
    }

    /// How long there was nothing to send since this was asked last. Only where pages become fewer bytes: otherwise a queue
    /// that runs dry is known to mean a link that keeps up.
    fn idle_time(&mut self, now: Instant) -> Duration {
        let idle = self.idle.take(now);
        if self.options.encoding == EncodingChoice::None { Duration::ZERO } else { idle }
    }

    /// Reads the dirty log into the set of pages to send.
    pub(super) fn harvest(&mut self, ended_pass: bool) -> Result<Harvest, Ended> {
        let before = Instant::now();
        let mut sink = HarvestSink {
            dirty: &self.dirty,
            window: &mut self.window,
            thermometer: &mut self.thermometer,
            harvested: Harvested::default(),
            by_vcpu: Vec::new(),
        };
        self.machine
            .dirty_log()
            .harvest(&mut sink)
            .map_err(|error| Ended::Machine("read its dirty log", error))?;
        let Harvested { dirtied, newly } = sink.harvested;
        let dirtied_by_vcpu = sink.by_vcpu;
        // QEMU knows no heat, and a log that is read once a pass says nothing of it.
        if matches!(self.options.policy.sampling(), Sampling::Timer(_)) {
            self.thermometer.read(&self.heat, before - self.harvested.time);
        }
        let now = Instant::now();
        self.costs.synced_in(now - before);
        let elapsed = now - self.harvested.time;
        let stolen = self.stolen();
        let ran = |(now, before): (&Duration, &Duration)| {
            elapsed.saturating_sub(now.saturating_sub(*before))
        };
        let guest_ran_by_vcpu: Vec<_> =
            stolen.iter().zip(&self.harvested.stolen).map(ran).collect();
        let guest_ran = mean(&guest_ran_by_vcpu).unwrap_or(elapsed);
        self.harvested = HarvestedAt { time: now, stolen };
        Ok(Harvest {
            elapsed,
            guest_ran,
            dirtied,
            newly_dirty: newly,
            dirtied_by_vcpu,
            guest_ran_by_vcpu,
            window: self.window.harvested(elapsed, guest_ran),
            ended_pass,
        })
    }

    /// Harvests are counted from now on.
    pub(super) fn harvests_begin(&mut self) {
        self.harvested = HarvestedAt { time: Instant::now(), stolen: self.stolen() };
        self.sampled.time = Instant::now();
        self.next_tick = Instant::now() + TICK;
        self.precopy_began = Some(Instant::now());
    }

    /// What the throttle has held back so far, by vCPU.
    fn stolen(&self) -> Vec<Duration> {
        self.throttle.stolen().iter().map(|vcpu| vcpu.total).collect()
    }

    /// A switchover did not fit: the guest must not stutter from one attempt to the next.
    pub(super) fn wait_with_next_attempt(&mut self) {
        let patience = PATIENCE * 2_u32.saturating_pow(self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        self.next_attempt = Instant::now() + patience.min(MOST_PATIENCE);
    }

    /// Bytes that left a second since the first pass began.
    pub(super) fn rate_so_far(&self) -> ByteRate {
        let since = self.precopy_began.map(|began| began.elapsed());
        ByteRate::of(Bytes(self.counters.bytes()), since.unwrap_or_default())
    }

    fn publish(&mut self) {
        let estimates = self.controller.estimates();
        let progress = &mut self.progress;
        progress.elapsed = self.recorder.elapsed();
        progress.remaining = self.dirty.pages();
        progress.sent = Bytes(self.counters.bytes());
        progress.pages = self.counters.page_counts();
        progress.bandwidth = estimates.bandwidth;
        progress.dirty_rate = estimates.dirty_rate;
        progress.expected_downtime = estimates.expected_downtime;
        progress.throttle = self.controller.throttles().hardest();
        progress.verdict = Some(self.controller.verdict().clone());
        self.observer.progress(progress);
    }

    /// Looks at what has happened meanwhile, without waiting: whether anything speaks against giving the guest away now.
    pub(super) fn nothing_ended_it(&mut self) -> Result<(), Ended> {
        while self.next(Instant::now())?.is_some() {}
        Ok(())
    }

    /// Lets every vCPU go, and notes what the throttle has cost.
    pub(super) fn release(&mut self) {
        let stolen = self.throttle.stolen();
        self.recorder.stolen(&stolen);
        self.throttle.set(&VcpuThrottles::Released);
    }

    /// The bill.
    pub(super) fn report(&mut self, outcome: Outcome, reason: Option<String>) -> Report {
        let estimates = self.controller.estimates();
        let memory = self.machine.memory().layout().pages().bytes();
        let mut report = self.recorder.report(outcome, reason, self.machine.kind(), memory);
        report.policy = self.options.policy;
        report.auto_converge = self.options.policy != Policy::Off;
        report.hand_over = self.options.hand_over;
        report.downtime_limit_ms = self.options.limits.max_downtime.as_secs_f64() * 1e3;
        report.passes = self.pass;
        report.channels = self.spread.channels();
        report.sent_bytes = self.counters.bytes();
        report.pages = self.counters.page_counts();
        report.dirty_rate_bytes_per_second = estimates.unthrottled_dirty_rate.bytes_per_second();
        let rate = self.precopy_rate.unwrap_or_else(|| self.rate_so_far());
        report.bandwidth_bytes_per_second = rate.bytes_per_second();
        report.verdict = Some(self.controller.verdict().clone());
        report
    }
}
