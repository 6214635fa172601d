use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// The kernel's side of a ring, over plain memory.
struct Kernel {
    ring: Ring,
    pushed: u32,
    reset: u32,
}

impl Kernel {
    fn new(count: u32) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Self { ring: Ring::map_at(-1, 0, flags, count).unwrap(), pushed: 0, reset: 0 }
    }

    fn push(&mut self, slot: u32, offset: u64) -> bool {
        if self.pushed - self.reset == self.ring.count {
            return false;
        }
        self.overrun(slot, offset);
        true
    }

    /// As a kernel that does not look whether there is room.
    fn overrun(&mut self, slot: u32, offset: u64) {
        // SAFETY: the entry is mapped and nobody else accesses it meanwhile.
        unsafe { *self.ring.entry(self.pushed) = kvm_dirty_gfn { flags: DIRTY, slot, offset } };
        self.pushed += 1;
    }

    fn reset(&mut self) -> u32 {
        take_back(&self.ring, &mut self.reset)
    }

    /// As a machine's rings are emptied: whether the ring had overrun.
    fn empty(&mut self, given: &mut Vec<(u32, u64)>) -> bool {
        self.ring.harvest(|slot, page| given.push((slot, page)));
        let harvested = self.ring.harvested();
        if self.ring.is_whole_round() || self.reset() != harvested {
            assert!(self.ring.is_full() || self.reset <= self.pushed);
            if self.ring.is_full() {
                let (mut reset, shadow) = (self.reset, shadow(&self.ring));
                self.ring.recover(|| Ok::<_, ()>(take_back(&shadow, &mut reset))).unwrap();
                self.reset = reset;
            } else {
                self.ring.harvest(|_, _| ());
                self.reset();
                self.ring.was_reset();
            }
            return true;
        }
        self.ring.was_reset();
        false
    }

    fn harvest(&mut self) -> Vec<(u32, u64)> {
        let mut given = Vec::new();
        self.ring.harvest(|slot, page| given.push((slot, page)));
        given
    }
}

/// A second view of the same entries, as the kernel has one.
fn shadow(ring: &Ring) -> std::mem::ManuallyDrop<Ring> {
    let Ring { entries, count, .. } = *ring;
    std::mem::ManuallyDrop::new(Ring { entries, count, reset: 0, next: 0, adrift: false })
}

fn take_back(ring: &Ring, reset: &mut u32) -> u32 {
    let before = *reset;
    while ring.flags(*reset).load(Ordering::Relaxed) == HARVESTED {
        ring.mark(*reset, EMPTY);
        *reset += 1;
    }
    *reset - before
}

#[test]
fn an_entry_is_given_once_and_its_place_is_used_again_only_after_a_reset() {
    let mut kernel = Kernel::new(4);
    (0..4).for_each(|page| assert!(kernel.push(1, page)));
    assert!(!kernel.push(1, 4), "full");
    assert_eq!(kernel.harvest(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    assert!(kernel.harvest().is_empty());
    assert!(!kernel.push(1, 4), "harvested, but not reset");
    kernel.reset();
    kernel.ring.was_reset();
    assert!(kernel.push(1, 4));
    assert_eq!(kernel.harvest(), [(1, 4)]);
}

#[test]
fn a_ring_whose_count_is_no_power_of_two_is_refused() {
    assert!(Ring::map_at(-1, 0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 3).is_err());
}

proptest! {
    #[test]
    fn whatever_the_order_of_pushes_harvests_and_resets_every_entry_comes_out_once_and_in_order(
        steps in prop::collection::vec(0..8_u8, 1..400),
    ) {
        let mut kernel = Kernel::new(8);
        let mut expected = VecDeque::new();
        for (page, step) in (0u64..).zip(steps) {
            match step {
                0 => {
                    let mut given = Vec::new();
                    let full = kernel.pushed - kernel.reset == 8;
                    prop_assert_eq!(kernel.empty(&mut given), full, "only a full ring is suspected");
                    let expected: Vec<_> = expected.drain(..).collect();
                    prop_assert!(full || given == expected, "{given:?} instead of {expected:?}");
                }
                _ => {
                    if kernel.push(0, page) {
                        expected.push_back((0, page));
                    }
                }
            }
        }
    }

    #[test]
    fn an_overrun_never_goes_unnoticed_and_the_ring_serves_again_afterwards(
        bursts in prop::collection::vec((0..20_u64, prop::bool::ANY), 1..60),
    ) {
        let mut kernel = Kernel::new(8);
        let mut page = 0;
        for (burst, late) in bursts {
            let mut given = Vec::new();
            let mut pushed = Vec::new();
            let mut lost = false;
            for number in 0..burst {
                // Some come only while the ring is being emptied.
                if late && number == burst / 2 {
                    kernel.ring.harvest(|slot, page| given.push((slot, page)));
                }
                lost |= kernel.pushed - kernel.reset >= 8;
                kernel.overrun(0, page);
                pushed.push((0, page));
                page += 1;
            }
            let noticed = kernel.empty(&mut given);
            prop_assert!(noticed || !lost, "{} pages lost", burst);
            prop_assert!(noticed || given == pushed);
            // A vCPU that is stopped for entries that are not there.
            while kernel.pushed - kernel.reset > 4 && kernel.ring.skip_half() {
                kernel.reset();
                kernel.ring.was_reset();
            }
            prop_assert!(kernel.reset <= kernel.pushed, "never further than the kernel");
            prop_assert!(kernel.pushed - kernel.reset <= 4, "stuck");
        }
    }
}
