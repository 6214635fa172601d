use serde_json::json;

use super::*;

fn parse(arguments: Value) -> Result<ParametersUpdate, QmpError> {
    match arguments {
        Value::Object(members) => ParametersUpdate::parse(Arguments::new(members)),
        other => panic!("{other} is no object"),
    }
}

#[test]
fn the_defaults_are_those_of_qemu() {
    let shown = serde_json::to_value(Parameters::default()).unwrap();
    assert_eq!(shown["max-bandwidth"], 134_217_728);
    assert_eq!(shown["downtime-limit"], 300);
    assert_eq!(shown["max-cpu-throttle"], 99);
    assert_eq!(shown["x-landfall-policy"], "adaptive");
    assert_eq!(shown["x-landfall-max-stall"], 10);
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let update = parse(json!({
        "max-bandwidth": 0, "downtime-limit": 50, "x-landfall-policy": "classic",
        "x-landfall-time-limit": 10_000, "x-landfall-on-limit": "switchover",
        "x-landfall-verify": true,
    }))
    .unwrap();
    let expected = Parameters {
        max_bandwidth: 0,
        downtime_limit: Duration::from_millis(50),
        policy: Policy::Classic,
        time_limit: Duration::from_secs(10),
        on_limit: OnLimit::Switchover,
        verify: true,
        ..Parameters::default()
    };
    assert_eq!(Parameters::default().with(&update), Ok(expected));
}

#[test]
fn an_update_survives_the_wire() {
    let update = ParametersUpdate {
        max_bandwidth: Some(125_000_000),
        tls_creds: Some("/etc/landfall/host-a".to_owned()),
        insecure: Some(false),
        encoding: Some(PageEncoding::Zstd),
        hand_over: Some(true),
        policy: Some(Policy::Stepped),
        peer_timeout: Some(Duration::from_millis(1500)),
        ..ParametersUpdate::default()
    };
    assert_eq!(parse(Value::Object(update.to_arguments())), Ok(update));
    assert!(ParametersUpdate::default().to_arguments().is_empty());
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, desc) in [
        (
            json!({"downtime-limit": 3_000_000}),
            "Parameter 'downtime-limit' expects a number of milliseconds in the range of 0 to 2000000",
        ),
        (
            json!({"downtime-limit": -1}),
            "Parameter 'downtime-limit' expects a number of milliseconds in the range of 0 to 2000000",
        ),
        (
            json!({"max-cpu-throttle": 256}),
            "Parameter 'max-cpu-throttle' expects a number of per cent in the range of 1 to 99",
        ),
        (
            json!({"max-bandwidth": "fast"}),
            "Invalid parameter type for 'max-bandwidth', expected: integer",
        ),
        (
            json!({"x-landfall-policy": "off"}),
            "Parameter 'x-landfall-policy' does not accept value 'off'",
        ),
        (json!({"max-bandwith": 1}), "Parameter 'max-bandwith' is unexpected"),
    ] {
        assert_eq!(parse(arguments), Err(QmpError::generic(desc)));
    }
}

#[test]
fn the_cap_never_falls_below_the_first_step() {
    let capped = Parameters::default().with(&parse(json!({"max-cpu-throttle": 10})).unwrap());
    assert_eq!(capped.unwrap().cpu_throttle_initial, 10);
    let both = parse(json!({"max-cpu-throttle": 10, "cpu-throttle-initial": 20})).unwrap();
    assert!(Parameters::default().with(&both).is_err());
}

#[test]
fn the_parameters_of_qemu_are_read() {
    let qemu = json!({"downtime-limit": 500, "max-bandwidth": 1, "announce-max": 550});
    let read: Parameters = serde_json::from_value(qemu).unwrap();
    assert_eq!(read.downtime_limit, Duration::from_millis(500));
    assert_eq!(read.multifd_channels, 2);
}
