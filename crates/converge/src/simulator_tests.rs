use super::*;

const MIB: u64 = 1 << 20;

fn reference(policy: Policy) -> Scenario {
    let guest = GuestModel::single(
        Bytes(512 * MIB),
        Workload::Sweep { set: Bytes(128 * MIB) },
        ByteRate::new(1e9),
    );
    Scenario {
        horizon: Duration::from_secs(120),
        ..Scenario::new(guest, LinkModel::Constant(ByteRate::new(125e6)), policy)
    }
}

#[test]
fn show() {
    for policy in Policy::ALL {
        let run = simulate(&reference(policy));
        println!(
            "{policy}: {:?} total {:?} stolen {:?} sent {} down {:?}/{:?} passes {} stall {:?} max {} | {:?} {}",
            run.outcome,
            run.total,
            run.stolen,
            run.sent,
            run.downtime,
            run.predicted_downtime,
            run.passes,
            run.max_stall,
            run.max_throttle,
            run.verdict.state,
            run.verdict.text
        );
        if policy == Policy::Stepped {
            for point in &run.timeline {
                println!(
                    "  {:?} p{} rem {} dirty {} bw {} θ {}",
                    point.at,
                    point.pass,
                    point.remaining,
                    point.dirty_rate,
                    point.bandwidth,
                    point.throttle
                );
            }
        }
    }
}

#[test]
fn explore() {
    let mib = |n: u64| Bytes(n * MIB);
    let gb = |x: f64| ByteRate::new(x * 1e9);
    let steady = |workload, rate, base| VcpuModel { workload, rate, rhythm: Rhythm::Steady, base };
    let guests: Vec<(&str, GuestModel, bool)> = vec![
        (
            "sweep 1.04",
            GuestModel::single(mib(512), Workload::Sweep { set: mib(128) }, gb(1.04)),
            false,
        ),
        (
            "random 1.0",
            GuestModel::single(mib(512), Workload::Random { set: mib(128) }, gb(1.0)),
            false,
        ),
        (
            "random 0.1",
            GuestModel::single(mib(512), Workload::Random { set: mib(128) }, gb(0.1)),
            false,
        ),
        (
            "hotcold",
            GuestModel::single(
                mib(512),
                Workload::HotAndCold { hot: mib(16), cold: mib(240), hot_share: 0.9 },
                gb(1.0),
            ),
            false,
        ),
        (
            "bursts",
            GuestModel {
                vcpus: vec![VcpuModel {
                    workload: Workload::Sweep { set: mib(128) },
                    rate: gb(1.0),
                    rhythm: Rhythm::Bursts {
                        on: Duration::from_millis(1000),
                        off: Duration::from_millis(2000),
                    },
                    base: Bytes(0),
                }],
                ..GuestModel::single(mib(512), Workload::Sweep { set: mib(128) }, gb(1.0))
            },
            false,
        ),
        (
            "two vcpus",
            GuestModel {
                memory: mib(512),
                zero: mib(384),
                vcpus: vec![
                    steady(Workload::Sweep { set: mib(128) }, gb(1.0), Bytes(0)),
                    steady(Workload::Idle, gb(1.0), Bytes(0)),
                ],
            },
            true,
        ),
        (
            "two vcpus blind",
            GuestModel {
                memory: mib(512),
                zero: mib(384),
                vcpus: vec![
                    steady(Workload::Sweep { set: mib(128) }, gb(1.0), Bytes(0)),
                    steady(Workload::Idle, gb(1.0), Bytes(0)),
                ],
            },
            false,
        ),
        ("light", GuestModel::single(mib(512), Workload::Sweep { set: mib(128) }, gb(0.02)), false),
        ("idle", GuestModel::single(mib(512), Workload::Idle, gb(0.02)), false),
        (
            "full 512 sweep of 128",
            GuestModel {
                zero: Bytes(0),
                ..GuestModel::single(mib(512), Workload::Sweep { set: mib(128) }, gb(1.0))
            },
            false,
        ),
        (
            "12TB sweep 200G @ 10GB/s",
            GuestModel {
                zero: Bytes(0),
                ..GuestModel::single(
                    mib(12 << 20),
                    Workload::Sweep { set: mib(200 << 10) },
                    gb(100.0),
                )
            },
            false,
        ),
    ];
    for (name, guest, knows) in guests {
        for rate in [40e6, 125e6, 400e6] {
            for policy in [Policy::Stepped, Policy::Adaptive] {
                let rate = if name.starts_with("12TB") { rate * 100.0 } else { rate };
                let mut scenario =
                    Scenario::new(guest.clone(), LinkModel::Constant(ByteRate::new(rate)), policy);
                scenario.horizon =
                    Duration::from_secs(if name.starts_with("12TB") { 20000 } else { 120 });
                scenario.log_knows_vcpus = knows;
                let began = std::time::Instant::now();
                let run = simulate(&scenario);
                println!(
                    "{name:16} {:6} {policy:9} {:10?} total {:7.2} stolen {:6.2} {:?} sent {:9} down {:3.0}/{:3.0} ab {} passes {} stall {:?} max {} [{:.2}s] {}",
                    rate / 1e6,
                    run.outcome,
                    run.total.as_secs_f64(),
                    run.stolen.as_secs_f64(),
                    if knows { run.stolen_by_vcpu.clone() } else { vec![] },
                    run.sent.to_string(),
                    run.downtime.as_secs_f64() * 1e3,
                    run.predicted_downtime.as_secs_f64() * 1e3,
                    run.abandoned_switchovers,
                    run.passes,
                    run.max_stall,
                    run.max_throttle,
                    began.elapsed().as_secs_f64(),
                    run.verdict.text
                );
            }
        }
    }
}
