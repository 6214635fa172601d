use super::*;

fn entry(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

fn letters(text: &str) -> u32 {
    u32::from_le_bytes(text.as_bytes().try_into().unwrap())
}

fn amd(features_7: u32, address_bits: u32) -> Processor {
    let vendor = [0, letters("Auth"), letters("cAMD"), letters("enti")];
    let entries = [
        entry(0, vendor),
        entry(7, [0, features_7, 0, 0]),
        entry(0x8000_0008, [address_bits, 0, 0, 0]),
    ];
    Processor::of(&CpuId::from_entries(&entries).unwrap())
}

const AVX2: u32 = 1 << 5;
const SMAP: u32 = 1 << 20;

#[test]
fn what_a_host_lacks_is_named_and_what_it_has_more_does_not_matter() {
    assert_eq!(amd(AVX2 | SMAP, 48).lacking_in(&amd(0, 48)), ["avx2", "smap"]);
    assert_eq!(amd(AVX2, 48).lacking_in(&amd(AVX2 | SMAP, 52)), [""; 0]);
    assert_eq!(amd(0, 48).lacking_in(&amd(0, 39)), ["addresses of 48 bits (not 39)"]);
}

#[test]
fn another_make_of_processor_is_no_place_to_go() {
    let intel = Processor { vendor: "GenuineIntel".to_owned(), ..amd(0, 48) };
    let lacking = amd(0, 48).lacking_in(&intel);
    assert_eq!(lacking, ["a processor of AuthenticAMD (not of GenuineIntel)"]);
}

#[test]
fn what_another_version_knows_is_told_by_where_it_stands() {
    let word = SeenWord { leaf: 0x24, index: 0, register: 1, bits: 1 << 16 };
    let later = Processor { features: vec![word], ..amd(0, 48) };
    assert_eq!(later.lacking_in(&amd(0, 48)), ["CPUID 0x24.0 ebx bit 16"]);
    let text = serde_json::to_string(&later).unwrap();
    assert_eq!(serde_json::from_str::<Processor>(&text).unwrap(), later);
}

#[test]
fn every_word_names_all_of_its_bits_and_no_feature_twice() {
    let mut all: Vec<&str> = Vec::new();
    for word in &WORDS {
        let names: Vec<_> = word.names.split_whitespace().collect();
        assert_eq!(names.len(), 32, "{:#x}.{} {:?}", word.leaf, word.index, word.register);
        all.extend(names.into_iter().filter(|name| *name != "-"));
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn bits_that_depend_on_the_moment_or_the_number_of_vcpus_are_no_features() {
    // OSXSAVE and the hypervisor's own bit; hyper-threading.
    let entries = [entry(1, [0, 0, 1 << 27 | 1 << 31, 1 << 28])];
    let seen = Processor::of(&CpuId::from_entries(&entries).unwrap());
    assert!(seen.features.iter().all(|word| word.bits == 0));
}
