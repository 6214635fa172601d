use super::*;

#[test]
fn a_workload_is_named_and_its_options_follow() {
    assert_eq!("sweep".parse(), Ok(Workload::default()));
    let workload: Workload = "random,working-set=64MiB,rate=500MB/s".parse().unwrap();
    assert_eq!(workload.pattern, Pattern::Random);
    assert_eq!(workload.working_set, Bytes(64 << 20));
    assert_eq!(workload.rate, Some(ByteRate::new(500e6)));
    let bursts: Workload = "bursts,on=300ms,off=2s".parse().unwrap();
    assert_eq!(
        bursts.burst,
        Some(Burst { on: Duration::from_millis(300), off: Duration::from_secs(2) })
    );
}

#[test]
fn what_is_wrong_with_a_workload_is_said() {
    let text = |spec: &str| spec.parse::<Workload>().unwrap_err().to_string();
    assert!(text("dance").contains("write sweep, random"));
    assert!(text("sweep,speed=3").contains("working-set=SIZE"));
    assert!(text("sweep,rate=3").contains("no unit"));
    assert!(text("bursts,on=3").contains("300ms"));
}

#[test]
fn the_last_vcpus_compute_when_asked_to() {
    let workload: Workload = "hot-cold,hot=8MiB,computing=1".parse().unwrap();
    assert_eq!(workload.hot, Some(Bytes(8 << 20)));
    assert_eq!(workload.pattern_of(0, 2), Pattern::HotCold);
    assert_eq!(workload.pattern_of(1, 2), Pattern::Compute);
    let all: Workload = "compute".parse().unwrap();
    assert_eq!(all.pattern_of(0, 2), Pattern::Compute);
}
