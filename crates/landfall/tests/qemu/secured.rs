//! QEMUs of nodes that have certificates.

use landfall_qmp::{Client, Command as Qmp};
use serde_json::{Value, json};

use crate::daemon::Hosts;
use crate::machine::{PATIENCE, Qemu};
use crate::probe::Guest;

const LIGHT: &str = "sweep,working-set=16MiB,rate=20MB/s";

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_qemu_moves_between_nodes_that_have_certificates() {
    let hosts = Hosts::certified();
    let guest = Guest::write(hosts.path(), LIGHT);
    let qemu = Qemu::start(hosts.path(), "source", guest.machine(), None);
    guest.wait_until_at_work(qemu.id(), PATIENCE);
    let socket = qemu.for_pilot.display().to_string();
    let adopted = hosts.run("a", &format!("vm adopt db1 {socket}"));
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    let check = hosts.run("a", "vm check db1 --target b -o json");
    let found: Value = serde_json::from_str(&check.stdout).unwrap();
    let items = found["items"].as_array().unwrap();
    let protection = items.iter().find(|item| item["code"] == "protection").unwrap();
    assert_eq!((check.code, &protection["severity"]), (Some(0), &json!("ok")), "{check:?}");
    for (from, to) in [("a", "b"), ("b", "a")] {
        let moved = hosts.run(from, &format!("migrate db1 {to}"));
        assert_eq!(moved.code, Some(0), "{moved:?}");
        assert_eq!(hosts.json(to, "vm show db1")["state"], "running");
    }
    let there = hosts.json("a", "vm show db1");
    let mut monitor = Client::connect(there["monitor"].as_str().unwrap(), PATIENCE).unwrap();
    monitor.execute(&Qmp::Stop).unwrap();
    guest.assert_whole(u32::try_from(there["pid"].as_u64().unwrap()).unwrap());
}
