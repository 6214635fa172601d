use super::*;

fn leaf(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

fn all(function: u32) -> kvm_cpuid_entry2 {
    leaf(function, [u32::MAX; 4])
}

/// A processor that has everything.
fn host() -> CpuId {
    let functions = [1, 7, 0xA, 0xB, 0x12, 0x4000_0001, 0x8000_0001, 0x8000_0007, 0x8000_0008];
    let mut entries = vec![leaf(0, [0x1F, 0, 0, 0])];
    entries.extend(functions.map(all));
    CpuId::from_entries(&entries).unwrap()
}

fn find(features: &CpuId, function: u32) -> Vec<kvm_cpuid_entry2> {
    features.as_slice().iter().filter(|entry| entry.function == function).copied().collect()
}

#[test]
fn what_does_not_travel_is_hidden_and_the_rest_is_as_the_host_has_it() {
    let features = features(&host(), 0, 1).unwrap();
    let first = |function| find(&features, function)[0];
    assert_eq!(first(1).ecx & VMX, 0);
    assert_eq!(first(0x8000_0001).ecx, !SVM);
    assert_eq!(first(0x8000_0007).edx, !INVARIANT_TSC);
    assert_eq!(first(0x4000_0001).eax & ASYNC_PAGE_FAULTS, 0);
    for hidden in [0xA, 0x12] {
        let entry = first(hidden);
        assert_eq!([entry.eax, entry.ebx, entry.ecx, entry.edx], [0; 4]);
    }
    assert_eq!(first(7).ebx, u32::MAX);
}

#[test]
fn every_vcpu_is_told_who_it_is_and_how_many_there_are() {
    for (count, bits) in [(1, 0), (2, 1), (3, 2), (8, 3)] {
        for index in 0..count {
            let features = features(&host(), index as usize, count as usize).unwrap();
            let basic = find(&features, 1)[0];
            assert_eq!((basic.ebx >> 24, basic.ebx >> 16 & 0xFF), (index, count));
            assert_eq!(basic.edx & HYPER_THREADING != 0, count > 1);
            let [threads, cores, end] = find(&features, 0xB)[..] else { panic!("three levels") };
            assert_eq!((threads.eax, threads.ebx), (0, 1));
            assert_eq!((cores.eax, cores.ebx), (bits, count));
            assert_eq!((end.ebx, end.ecx >> 8), (0, 0));
            assert!([threads, cores, end].iter().all(|level| level.edx == index));
            assert_eq!(find(&features, 0x8000_0008)[0].ecx, bits << 12 | (count - 1));
        }
    }
}

#[test]
fn a_processor_without_the_topology_leaf_gets_none() {
    let old = CpuId::from_entries(&[leaf(0, [7, 0, 0, 0]), all(1)]).unwrap();
    assert!(find(&features(&old, 0, 2).unwrap(), 0xB).is_empty());
}
