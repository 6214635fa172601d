//! What a guest has seen of its processor, and what of that another host lacks.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use serde::{Deserialize, Serialize};

use super::feature_names::{Register, WORDS, Word};

/// What a guest has seen of its processor when it began. It travels with the guest, and every host on the way must have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processor {
    /// Who made it, in the twelve letters that a processor gives.
    vendor: String,
    /// Bits of a physical address.
    address_bits: u32,
    /// Words of features. The names of features do not travel, so that two versions may know different ones.
    features: Vec<SeenWord>,
}

/// Thirty-two features, and which of them a guest has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenWord {
    leaf: u32,
    index: u32,
    /// 0 to 3 for `eax` to `edx`.
    register: u8,
    bits: u32,
}

fn find(cpuid: &CpuId, leaf: u32, index: u32) -> Option<&kvm_cpuid_entry2> {
    cpuid.as_slice().iter().find(|entry| entry.function == leaf && entry.index == index)
}

/// Who made the processor: twelve letters, in an order of their own.
fn vendor(cpuid: &CpuId) -> String {
    let words = find(cpuid, 0, 0).map_or([0; 3], |entry| [entry.ebx, entry.edx, entry.ecx]);
    String::from_utf8_lossy(words.map(u32::to_le_bytes).as_flattened()).into_owned()
}

impl SeenWord {
    fn of(word: &Word, cpuid: &CpuId) -> Self {
        let Word { leaf, index, register, .. } = *word;
        let bits = find(cpuid, leaf, index).map_or(0, |entry| match register {
            Register::Eax => entry.eax,
            Register::Ebx => entry.ebx,
            Register::Ecx => entry.ecx,
            Register::Edx => entry.edx,
        });
        let says_something = |bit: &u32| name(word, *bit) != Some("-");
        let features = (0..32).filter(says_something).fold(0, |mask, bit| mask | 1 << bit);
        Self { leaf, index, register: register as u8, bits: bits & features }
    }

    fn is_at(&self, other: &Self) -> bool {
        (self.leaf, self.index, self.register) == (other.leaf, other.index, other.register)
    }

    /// What feature `bit` is called, or where it stands if this version has no name for it.
    fn name(&self, bit: u32) -> String {
        let at = |word: &&Word| {
            (word.leaf, word.index, word.register as u8) == (self.leaf, self.index, self.register)
        };
        match WORDS.iter().find(at).and_then(|word| name(word, bit)) {
            Some(name) => name.to_owned(),
            None => {
                let register = ["eax", "ebx", "ecx", "edx"].get(usize::from(self.register));
                let register = register.copied().unwrap_or("?");
                format!("CPUID {:#x}.{} {register} bit {bit}", self.leaf, self.index)
            }
        }
    }
}

fn name(word: &Word, bit: u32) -> Option<&'static str> {
    word.names.split_whitespace().nth(bit as usize)
}

impl Processor {
    /// What a guest sees that is given `cpuid`.
    #[must_use]
    pub fn of(cpuid: &CpuId) -> Self {
        Self {
            vendor: vendor(cpuid),
            address_bits: find(cpuid, 0x8000_0008, 0).map_or(0, |entry| entry.eax & 0xFF),
            features: WORDS.iter().map(|word| SeenWord::of(word, cpuid)).collect(),
        }
    }

    /// What of this `here` lacks, by name.
    #[must_use]
    pub fn lacking_in(&self, here: &Self) -> Vec<String> {
        let mut lacking = Vec::new();
        if self.vendor != here.vendor {
            lacking.push(format!("a processor of {} (not of {})", self.vendor, here.vendor));
        }
        if self.address_bits > here.address_bits {
            let (seen, here) = (self.address_bits, here.address_bits);
            lacking.push(format!("addresses of {seen} bits (not {here})"));
        }
        for word in &self.features {
            let same = here.features.iter().find(|other| other.is_at(word));
            let missing = word.bits & !same.map_or(0, |same| same.bits);
            let missing = (0..32).filter(|bit| missing >> bit & 1 == 1);
            lacking.extend(missing.map(|bit| word.name(bit)));
        }
        lacking
    }
}

#[cfg(test)]
#[path = "processor_tests.rs"]
mod tests;
