use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::capability::Capability;
use crate::error::ErrorClass;
use crate::parameters::Policy;

fn every() -> Vec<Command> {
    let state = CapabilityState { capability: Capability::Events, state: true };
    let update = ParametersUpdate { policy: Some(Policy::Classic), ..ParametersUpdate::default() };
    vec![
        Command::QueryStatus,
        Command::QueryName,
        Command::QueryCpusFast,
        Command::Stop,
        Command::Cont,
        Command::SystemPowerdown,
        Command::Quit,
        Command::Balloon { value: 256 << 20 },
        Command::QueryBalloon,
        Command::QueryBalloonStats,
        Command::MigrateSetCapabilities(vec![state]),
        Command::QueryMigrateCapabilities,
        Command::MigrateSetParameters(update),
        Command::QueryMigrateParameters,
        Command::Migrate { uri: "tcp:h:1".into() },
        Command::MigrateIncoming { uri: "unix:/s".into() },
        Command::MigrateCancel,
        Command::QueryMigrate,
        Command::CalcDirtyRate(DirtyRateRequest::lasting(Duration::from_millis(1500))),
        Command::QueryDirtyRate { unit: TimeUnit::Millisecond },
        Command::CheckGuest,
        Command::QueryVm,
        Command::Settle { run: true },
        Command::Snapshot { file: "/snapshot".into(), stop: true },
        Command::QueryConfiguration,
        Command::CheckConfiguration { configuration: "{}".into() },
    ]
}

fn parse(name: &str, arguments: Value) -> Result<Command, QmpError> {
    let message = json!({ "execute": name, "arguments": arguments });
    Command::parse(&Request::parse(message).unwrap())
}

#[test]
fn every_command_survives_the_wire() {
    for command in every() {
        assert_eq!(Command::parse(&Request::from(&command)), Ok(command));
    }
}

#[test]
fn every_name_is_listed_once_and_understood() {
    let listed: Vec<_> = Command::names().collect();
    assert_eq!(listed.iter().collect::<HashSet<_>>().len(), listed.len());
    let known: HashSet<_> = every().iter().map(Command::name).collect();
    assert_eq!(listed.iter().filter(|name| known.contains(**name)).count(), NAMES.len());
}

#[test]
fn an_unknown_command_is_not_found() {
    let error = parse("system_wakeup", json!({})).unwrap_err();
    assert_eq!(error.class, ErrorClass::CommandNotFound);
    assert_eq!(error.desc, "The command system_wakeup has not been found");
}

#[test]
fn wrong_arguments_are_named() {
    for (name, arguments, desc) in [
        ("migrate", json!({}), "Parameter 'uri' is missing"),
        ("migrate", json!({"uri": 1}), "Invalid parameter type for 'uri', expected: string"),
        ("stop", json!({"now": true}), "Parameter 'now' is unexpected"),
        ("balloon", json!({}), "Parameter 'value' is missing"),
        (
            "balloon",
            json!({"value": 0}),
            "Parameter 'value' expects a size in the range of 1 to 9223372036854775807",
        ),
        ("x-landfall-settle", json!({}), "Parameter 'run' is missing"),
        ("x-landfall-snapshot", json!({"stop": true}), "Parameter 'file' is missing"),
        ("x-landfall-check-configuration", json!({}), "Parameter 'configuration' is missing"),
        ("migrate-set-capabilities", json!({}), "Parameter 'capabilities' is missing"),
        (
            "migrate-set-capabilities",
            json!({"capabilities": [{"capability": "warp", "state": true}]}),
            "Parameter 'capability' does not accept value 'warp'",
        ),
        (
            "migrate-set-capabilities",
            json!({"capabilities": [{"capability": "events"}]}),
            "Parameter 'state' is missing",
        ),
    ] {
        assert_eq!(parse(name, arguments), Err(QmpError::generic(desc)));
    }
}

#[test]
fn what_libvirt_adds_to_migrate_is_accepted() {
    let arguments = json!({"uri": "tcp:h:1", "detach": true, "resume": false});
    assert_eq!(parse("migrate", arguments), Ok(Command::Migrate { uri: "tcp:h:1".into() }));
}
