use clap::Parser;

use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: PilotArgs,
}

fn args(flags: &str) -> Result<PilotArgs, clap::Error> {
    let flags = std::iter::once("pilot").chain(flags.split_whitespace());
    Flags::try_parse_from(flags).map(|flags| flags.args)
}

#[test]
fn a_machine_is_named_in_exactly_one_way() {
    assert_eq!(args("/run/vm.qmp").unwrap().machine(), "/run/vm.qmp");
    assert_eq!(args("--via-libvirt web1").unwrap().machine(), "libvirt's web1");
    assert_eq!(args("--vmid 104").unwrap().machine(), "/var/run/qemu-server/104.qmp");
    for wrong in
        ["", "/run/vm.qmp --vmid 104", "/run/vm.qmp --via-libvirt web1", "--vmid 1 --via-libvirt a"]
    {
        assert!(args(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_the_socket_lacks_is_said() {
    let error = args("/nowhere/vm.qmp").unwrap().monitor().unwrap_err();
    assert!(matches!(error, CliError::Monitor { .. }), "{error}");
}
