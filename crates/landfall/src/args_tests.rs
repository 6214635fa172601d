use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn refusal(line: &str) -> clap::Error {
    Cli::try_parse_from(line.split(' ')).unwrap_err()
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn auto_converge_is_on_unless_switched_off() {
    let parse = |line: &str| match Cli::parse_from(line.split(' ')).command {
        Command::Migrate(args) => args.auto_converge.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    assert_eq!(parse("landfall migrate s tcp:h:1"), Switch::On);
    assert_eq!(parse("landfall migrate s tcp:h:1 --auto-converge off"), Switch::Off);
}

#[test]
fn quantities_without_a_unit_are_refused() {
    for line in [
        "landfall migrate s tcp:h:1 --max-downtime 300",
        "landfall migrate s tcp:h:1 --bandwidth 125",
        "landfall migrate s tcp:h:1 --max-throttle 80",
        "landfall migrate s tcp:h:1 --max-throttle 0%",
        "landfall demo --memory 512",
        "landfall vm run --probe sweep --qmp s --rate 5MB",
    ] {
        assert_eq!(refusal(line).kind(), ErrorKind::ValueValidation, "{line}");
    }
}

#[test]
fn a_destination_that_is_none_is_refused() {
    let error = refusal("landfall migrate s host:port");
    assert!(error.to_string().contains("tcp:HOST:PORT"), "{error}");
}

#[test]
fn a_destination_with_a_colon_is_an_address_and_one_without_a_node() {
    let parse = |line: &str| match Cli::parse_from(line.split(' ')).command {
        Command::Migrate(args) => args.to,
        other => panic!("{other:?}"),
    };
    assert!(matches!(parse("landfall migrate web1 b"), Destination::Node(_)));
    assert!(matches!(parse("landfall migrate web1 unix:b"), Destination::Uri(_)));
    let error = refusal("landfall migrate web1 B");
    assert!(error.to_string().contains("lower-case letters"), "{error}");
}

#[test]
fn a_migration_of_a_node_is_told_from_a_socket_by_its_form() {
    let parse = |text: &str| text.parse::<crate::migration::Subject>().unwrap();
    use crate::migration::Subject;
    for id in ["a-17", "host-b-1"] {
        assert!(matches!(parse(id), Subject::Id(_)), "{id}");
    }
    for socket in ["a.qmp", "./a-17", "/run/a-17", "a-", "-17", "17", "A-17", "a-1b"] {
        assert!(matches!(parse(socket), Subject::Socket(_)), "{socket}");
    }
}

#[test]
fn the_daemon_is_run_by_flags_and_asked_by_words() {
    let parse = |line: &str| Cli::try_parse_from(line.split(' '));
    assert!(parse("landfall node --name a --insecure").is_ok());
    assert!(parse("landfall node list").is_ok());
    assert_eq!(refusal("landfall node").kind(), ErrorKind::MissingRequiredArgument);
    assert!(parse("landfall node --name a list").is_err());
}

#[test]
fn a_machine_has_a_guest_or_waits_for_one() {
    let error = refusal("landfall vm run --qmp s");
    assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
    let error = refusal("landfall vm run --qmp s --probe sweep --incoming tcp:h:1");
    assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    Cli::try_parse_from(["landfall", "vm", "run", "--qmp", "s", "--incoming", "unix:p"]).unwrap();
    let kernel = "landfall vm run --qmp s --kernel k --initrd i --cmdline c --serial socket:p";
    Cli::try_parse_from(kernel.split(' ')).unwrap();
    for other in ["--probe sweep", "--incoming tcp:h:1"] {
        let error = refusal(&format!("{kernel} {other}"));
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{other}");
    }
    let error = refusal("landfall vm run --qmp s --probe sweep --initrd i");
    assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    let error = refusal("landfall vm run --qmp s --probe sweep --serial tcp:h:1");
    assert!(error.to_string().contains("socket:PATH"), "{error}");
}

#[test]
fn every_flag_that_takes_a_quantity_says_its_unit_by_example() {
    fn visit(command: &clap::Command) {
        for arg in command.get_arguments() {
            let takes = arg.get_value_names().unwrap_or_default().join(" ");
            if ["SIZE", "RATE", "DURATION", "PERCENT"].contains(&takes.as_str()) {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("as in "), "--{}: {help}", arg.get_id());
            }
        }
        command.get_subcommands().for_each(visit);
    }
    visit(&Cli::command());
}
