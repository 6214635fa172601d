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
        Command::Migrate(args) => args.auto_converge,
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
