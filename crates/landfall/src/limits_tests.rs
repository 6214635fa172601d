use clap::Parser;

use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    limits: LimitArgs,
}

fn parameters(flags: &str, bandwidth: Option<ByteRate>) -> ParametersUpdate {
    let flags = std::iter::once("landfall").chain(flags.split_whitespace());
    Flags::parse_from(flags).limits.parameters(bandwidth, None)
}

#[test]
fn no_bandwidth_means_no_limit_and_the_smallest_one_does_not() {
    assert_eq!(parameters("", None).max_bandwidth, Some(0));
    assert_eq!(parameters("", Some(ByteRate::new(0.1))).max_bandwidth, Some(1));
    assert_eq!(parameters("", Some(ByteRate::new(125e6))).max_bandwidth, Some(125_000_000));
}

#[test]
fn a_throttle_becomes_whole_per_cent_and_the_first_step_stays_below_it() {
    for (flags, most, first) in
        [("", 99, 20), ("--max-throttle 29%", 29, 20), ("--max-throttle 0.1", 10, 10)]
    {
        let parameters = parameters(flags, None);
        assert_eq!(parameters.max_cpu_throttle, Some(most), "{flags}");
        assert_eq!(parameters.cpu_throttle_initial, Some(first), "{flags}");
    }
}

#[test]
fn what_is_not_said_is_set_to_its_default_all_the_same() {
    let parameters = parameters("", None);
    assert_eq!(parameters.time_limit, Some(Duration::ZERO));
    assert_eq!(parameters.verify, Some(false));
    assert_eq!(parameters.policy, Some(Policy::Adaptive));
    assert_eq!(parameters.on_limit, Some(OnLimit::Abort));
}
