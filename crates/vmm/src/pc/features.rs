//! What a guest may know of its processor, and of how many there are.

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// Leaves that describe what does not travel: performance counters, enclaves, nested virtualization.
const HIDDEN_LEAVES: [u32; 3] = [0xA, 0x12, 0x8000_000A];
const VMX: u32 = 1 << 5;
const SVM: u32 = 1 << 2;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;
const HYPER_THREADING: u32 = 1 << 28;
/// The TSC's rate is that of one host; with this bit hidden Linux keeps time by the KVM clock, which travels.
const INVARIANT_TSC: u32 = 1 << 8;
/// Page faults that are told to the guest: what is under way when it leaves would never be finished elsewhere.
const ASYNC_PAGE_FAULTS: u32 = 1 << 4 | 1 << 10 | 1 << 14;

/// What vCPU `index` of `count` sees, out of what this host has: one package with `count` cores of one thread each.
#[must_use]
pub fn features(supported: &CpuId, index: usize, count: usize) -> Option<CpuId> {
    let (id, count) = (u32::try_from(index).ok()?, u32::try_from(count).ok()?);
    let topology = |entry: &&kvm_cpuid_entry2| !matches!(entry.function, 0xB | 0x1F);
    let mut entries: Vec<_> = supported.as_slice().iter().filter(topology).copied().collect();
    for entry in &mut entries {
        describe(entry, id, count);
    }
    let highest = entries.iter().find(|entry| entry.function == 0).map_or(0, |entry| entry.eax);
    if highest >= 0xB {
        entries.extend(levels(id, count));
    }
    CpuId::from_entries(&entries).ok()
}

fn describe(entry: &mut kvm_cpuid_entry2, id: u32, count: u32) {
    match entry.function {
        1 => {
            entry.ebx = (entry.ebx & 0xFFFF) | count << 16 | id << 24;
            // KVM has the deadline timer with every local APIC of its own.
            entry.ecx = (entry.ecx & !VMX) | TSC_DEADLINE | HYPERVISOR;
            entry.edx =
                if count > 1 { entry.edx | HYPER_THREADING } else { entry.edx & !HYPER_THREADING };
        }
        // Caches: the last level is shared by all, the others by nobody.
        4 | 0x8000_001D if entry.eax & 0x1F != 0 => {
            let shared = if entry.eax >> 5 & 0b111 >= 3 { count - 1 } else { 0 };
            let cores = if entry.function == 4 { (count - 1) << 26 } else { 0 };
            entry.eax = (entry.eax & 0x3FFF) | shared << 14 | cores;
        }
        leaf if HIDDEN_LEAVES.contains(&leaf) => {
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
        }
        0x4000_0001 => entry.eax &= !ASYNC_PAGE_FAULTS,
        0x8000_0001 => entry.ecx &= !SVM,
        0x8000_0007 => entry.edx &= !INVARIANT_TSC,
        0x8000_0008 => entry.ecx = id_bits(count) << 12 | (count - 1),
        0x8000_001E => (entry.eax, entry.ebx, entry.ecx) = (id, id, 0),
        _ => {}
    }
}

/// Bits that the identifiers of `count` vCPUs take.
fn id_bits(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// The leaf that counts threads in a core, and cores in a package.
fn levels(id: u32, count: u32) -> [kvm_cpuid_entry2; 3] {
    const THREAD: u32 = 1 << 8;
    const CORE: u32 = 2 << 8;
    [(0, 1, THREAD), (id_bits(count), count, CORE), (0, 0, 0)].map(|(eax, ebx, kind)| {
        let index = match kind {
            THREAD => 0,
            CORE => 1,
            _ => 2,
        };
        kvm_cpuid_entry2 {
            function: 0xB,
            index,
            flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax,
            ebx,
            ecx: kind | index,
            edx: id,
            ..Default::default()
        }
    })
}

#[cfg(test)]
#[path = "features_tests.rs"]
mod tests;
