use super::*;

fn target(name: &str, incoming: u32, memory_free_bytes: u64) -> NodeFacts {
    NodeFacts {
        name: name.parse().unwrap(),
        version: "0.1.0".to_owned(),
        kvm: true,
        cpu_model: String::new(),
        cpu_features: Vec::new(),
        cpus: 1,
        memory_free_bytes,
        memory_bytes: 1 << 40,
        vms: 0,
        outgoing: 0,
        incoming,
        max_outgoing: 2,
        max_incoming: 2,
        draining: false,
    }
}

#[test]
fn guests_go_where_they_need_not_wait_and_then_where_most_memory_is_free() {
    let best = |targets: &[NodeFacts]| {
        let best = targets.iter().max_by_key(|it| fitness(it));
        best.map(|target| target.name.to_string())
    };
    let (full, small, large) =
        (target("b", 2, 9 << 30), target("c", 1, 2 << 30), target("d", 0, 4 << 30));
    assert_eq!(best(&[full.clone(), small.clone(), large]), Some("d".to_owned()));
    assert_eq!(best(&[full.clone(), small]), Some("c".to_owned()));
    assert_eq!(best(&[full]), Some("b".to_owned()), "better to wait than to stay");
}
