//! A stock QEMU that somebody has started, taken in by a node and moved from the same form.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use landfall_qmp::{Client, Command as Qmp};
use serde_json::json;

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::look;
use crate::moving::{STATE, field, form};
use crate::probe::Guest;

const PATIENCE: Duration = Duration::from_secs(60);

/// A QEMU of nobody's but the test's; killed and reaped when dropped, and by the kernel should the test die.
#[derive(Debug)]
struct Qemu {
    child: Child,
    guest: Guest,
}

impl Qemu {
    /// Starts one that the first of the nodes takes in as `db1`.
    fn on(hosts: &Hosts) -> Self {
        let guest = Guest::write(hosts.folder(), "sweep,working-set=128MiB,rate=400MB/s");
        let socket = hosts.folder().join("db1.qmp");
        let mut command = Command::new("setpriv");
        let qemu = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]).args(guest.machine());
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().expect("setpriv is a part of util-linux");
        let this = Self { child, guest };
        this.guest.wait_until_at_work(this.child.id(), PATIENCE);
        hosts.add(&hosts.a, &json!({ "name": "db1", "qemu": { "socket": socket } }));
        this
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs a browser and QEMU; run by `cargo xtask test browser`"]
fn a_qemu_that_was_taken_in_arrives_from_the_same_form() {
    let hosts = Hosts::start();
    let (qemu, browser) = (Qemu::on(&hosts), Browser::start());
    form(&browser, &hosts);
    browser.click("button.main");
    browser.until(&field("throttle", ".endsWith('%')"));
    browser.until("document.querySelector('#charts svg')");
    look(&browser, "live-qemu");
    browser.until("document.querySelector('[data-final]')");
    assert_eq!(browser.text(STATE), "arrived", "{}", browser.text("main"));

    // It runs there, in a QEMU that was started by the same command, and its guest has lost nothing.
    let there = hosts.vm_on(&hosts.b, "db1");
    assert_eq!(
        (&there["state"], there["spec"].get("native")),
        (&json!("running"), None),
        "{there}"
    );
    let mut monitor = Client::connect(there["monitor"].as_str().unwrap(), PATIENCE).unwrap();
    monitor.execute(&Qmp::Stop).unwrap();
    qemu.guest.assert_whole(u32::try_from(there["pid"].as_u64().unwrap()).unwrap());
    assert_eq!(hosts.vm_on(&hosts.a, "db1")["state"], "away");
}
