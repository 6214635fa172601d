use super::*;
use crate::units::PAGE_SIZE;

const MIB: u64 = 1 << 20;
const TICK: Duration = Duration::from_millis(50);

fn mib(count: u64) -> Bytes {
    Bytes(count * MIB)
}

/// A measurement of a guest that does exactly what `guest` says, for `ticks` ticks.
fn measured(workload: Workload, rate: f64, rhythm: Rhythm, ticks: u32) -> DirtyMeasurement {
    let memory = mib(512);
    let mut curve = DirtyCurve::new(memory.whole_pages().0);
    let mut guest = Replay::new(workload, rate);
    for tick in 0..ticks {
        // A tick that a burst begins or ends in is busy for a part of it.
        for step in 0..50 {
            let now = TICK * tick + Duration::from_millis(step);
            if writes_at(rhythm, now) {
                guest.run(0.001, |page| curve.mark(page / 64, 1 << (page % 64)));
            }
        }
        curve.end_tick(TICK);
    }
    DirtyMeasurement {
        windows: curve.windows(),
        rhythm: curve.rhythm(),
        vcpu_rates: Vec::new(),
        memory,
        non_zero: workload.extent(),
    }
}

fn writes_at(rhythm: Rhythm, now: Duration) -> bool {
    let Rhythm::Bursts { on, off } = rhythm else { return true };
    now.as_millis() % (on + off).as_millis() < on.as_millis()
}

/// A guest of one's own, so that model and measurement do not share a mistake.
struct Replay {
    workload: Workload,
    pages_per_second: f64,
    owed: f64,
    next: u64,
    random: u64,
}

impl Replay {
    fn new(workload: Workload, bytes_per_second: f64) -> Self {
        let pages_per_second = bytes_per_second / PAGE_SIZE as f64;
        Self { workload, pages_per_second, owed: 0.0, next: 0, random: 1 }
    }

    fn run(&mut self, seconds: f64, mut write: impl FnMut(u64)) {
        self.owed += self.pages_per_second * seconds;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            write(self.page());
        }
    }

    fn page(&mut self) -> u64 {
        match self.workload {
            Workload::Idle => 0,
            Workload::Sweep { set } => {
                self.next = (self.next + 1) % set.whole_pages().0;
                self.next
            }
            Workload::Random { set } => self.random(set.whole_pages().0),
            Workload::HotAndCold { hot, cold, hot_share } => {
                let is_hot = (self.random(1000) as f64) < hot_share * 1000.0;
                let hot = hot.whole_pages().0;
                if is_hot { self.random(hot) } else { hot + self.random(cold.whole_pages().0) }
            }
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.random >> 33) % below
    }
}

fn assert_near(what: f64, expected: f64, share: f64) {
    assert!((what / expected - 1.0).abs() < share, "{what} is not near {expected}");
}

#[test]
fn windows_are_the_mean_over_every_place_that_they_can_have() {
    let mut curve = DirtyCurve::new(128);
    // Page 0 in ticks 1, 2 and 5; page 70 in tick 4.
    for (word, bits) in [(0, 1), (0, 1), (0, 0), (1, 1 << 6), (0, 1)] {
        curve.mark(word, bits);
        curve.mark(word, bits);
        curve.end_tick(TICK);
    }
    let windows = curve.windows();
    // Of one tick: 1, 1, 0, 1, 1. Of two: 1, 1, 1, 2. Of four: 2, 2. Of all five: 2. In whole pages.
    let pages: Vec<_> = windows.iter().map(|(time, set)| (*time, set.whole_pages().0)).collect();
    assert_eq!(pages, [(TICK, 1), (TICK * 2, 1), (TICK * 4, 2), (TICK * 5, 2)]);
    assert_eq!(curve.touched(), Bytes(2 * PAGE_SIZE));
}

#[test]
fn windows_agree_with_counting_each_of_them() {
    let mut writer = Replay::new(Workload::Random { set: mib(1) }, 5e6);
    let mut curve = DirtyCurve::new(256);
    let mut ticks = Vec::new();
    for _ in 0..23 {
        let mut pages = Vec::new();
        writer.run(TICK.as_secs_f64(), |page| pages.push(page));
        pages.iter().for_each(|page| curve.mark(page / 64, 1 << (page % 64)));
        curve.end_tick(TICK);
        ticks.push(pages);
    }
    for (time, set) in curve.windows() {
        let length = usize::try_from(time.as_millis() / TICK.as_millis()).expect("it is small");
        let counts: Vec<_> = ticks
            .windows(length)
            .map(|window| {
                let distinct: std::collections::HashSet<_> = window.iter().flatten().collect();
                distinct.len() as f64
            })
            .collect();
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        assert!((mean - set.whole_pages().0 as f64).abs() <= 0.5, "{length} ticks: {mean}");
    }
}

#[test]
fn a_sweep_is_recognised_with_its_speed_and_its_end() {
    let load = measured(Workload::Sweep { set: mib(128) }, 700e6, Rhythm::Steady, 60).load();
    let Workload::Sweep { set } = load.workload else { panic!("{load:?}") };
    assert_near(set.0 as f64, 128.0 * MIB as f64, 0.02);
    assert_near(load.rate.bytes_per_second(), 700e6, 0.05);
    assert!(load.is_bounded);
}

#[test]
fn random_writing_is_recognised_although_it_hits_pages_twice() {
    let load = measured(Workload::Random { set: mib(64) }, 900e6, Rhythm::Steady, 60).load();
    let Workload::Random { set } = load.workload else { panic!("{load:?}") };
    assert_near(set.0 as f64, 64.0 * MIB as f64, 0.03);
    assert_near(load.rate.bytes_per_second(), 900e6, 0.1);
    assert!(load.is_bounded);
}

#[test]
fn a_hot_range_within_a_cold_one_is_recognised() {
    let workload = Workload::HotAndCold { hot: mib(20), cold: mib(180), hot_share: 0.9 };
    let load = measured(workload, 400e6, Rhythm::Steady, 60).load();
    let Workload::HotAndCold { hot, cold, hot_share } = load.workload else { panic!("{load:?}") };
    assert_near(hot.0 as f64, 20.0 * MIB as f64, 0.3);
    assert_near((hot + cold).0 as f64, 200.0 * MIB as f64, 0.1);
    assert_near(hot_share, 0.9, 0.1);
}

#[test]
fn a_set_whose_end_was_not_seen_is_as_large_as_the_memory_in_use() {
    let mut measured = measured(Workload::Sweep { set: mib(500) }, 50e6, Rhythm::Steady, 40);
    measured.non_zero = mib(300);
    let load = measured.load();
    assert!(!load.is_bounded);
    assert_eq!(load.workload.extent(), mib(300));
    assert_near(load.rate.bytes_per_second(), 50e6, 0.05);
}

#[test]
fn bursts_are_recognised_with_the_speed_that_they_have_in_themselves() {
    let bursts = Rhythm::Bursts { on: Duration::from_millis(500), off: Duration::from_millis(500) };
    let measured = measured(Workload::Sweep { set: mib(128) }, 800e6, bursts, 80);
    let Rhythm::Bursts { on, off } = measured.rhythm else { panic!("{:?}", measured.rhythm) };
    assert_near(on.as_secs_f64(), 0.5, 0.1);
    assert_near(off.as_secs_f64(), 0.5, 0.1);
    let load = measured.load();
    assert_near(load.rate.bytes_per_second(), 800e6, 0.15);
    assert_near(load.workload.extent().0 as f64, 128.0 * MIB as f64, 0.05);
}

#[test]
fn a_guest_that_writes_nothing_is_idle() {
    let measured = measured(Workload::Idle, 0.0, Rhythm::Steady, 20);
    assert_eq!(measured.load().workload, Workload::Idle);
    assert_eq!(measured.load().rate, ByteRate::ZERO);
    assert_eq!(measured.guest().zero, mib(512));
}

#[test]
fn vcpus_that_the_log_tells_apart_have_their_shares_beside_each_other() {
    let mut measured = measured(Workload::Sweep { set: mib(100) }, 400e6, Rhythm::Steady, 40);
    measured.vcpu_rates = vec![ByteRate::new(300e6), ByteRate::ZERO, ByteRate::new(100e6)];
    let guest = measured.guest();
    let [first, idle, last] = guest.vcpus.as_slice() else { panic!("{guest:?}") };
    assert_near(first.rate / last.rate, 3.0, 0.01);
    assert_eq!(idle.rate, ByteRate::ZERO);
    assert!(last.base >= first.workload.extent());
    assert!(guest.vcpus.iter().map(|vcpu| vcpu.workload.extent()).sum::<Bytes>() <= mib(101));
}
