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
        if policy == Policy::Adaptive {
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
