//! What a guest needs of a host is looked at there before it moves, and goes with it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::daemon::Hosts;
use crate::elf::kernel;

/// Waits for an interrupt that does not come, for ever.
const IDLE: [u8; 3] = [0xF4, 0xEB, 0xFD];

fn has_kvm() -> bool {
    let kvm = landfall_vmm::kvm::is_available();
    kvm.inspect_err(|error| eprintln!("skipping KVM: {error}")).is_ok()
}

/// Starts a guest with a kernel and a disk on node `a`; gives the image.
fn with_disk(hosts: &Hosts, more: &str) -> PathBuf {
    let at = |name: &str| hosts.path().join(name);
    fs::write(at("kernel"), kernel(&IDLE)).unwrap();
    fs::write(at("disk.img"), vec![0; 1 << 20]).unwrap();
    let text = format!(
        "name = 'web1'\n[native]\nmemory = '32MiB'\nmachine = 'kvm'\n[native.kernel]\nimage = {:?}\ndisks = [{{ path = {:?} }}]\n{more}",
        at("kernel"),
        at("disk.img")
    );
    fs::write(at("web1.toml"), text).unwrap();
    let started = hosts.run("a", &format!("vm start --spec {}", at("web1.toml").display()));
    assert_eq!(started.stdout, "web1  running\n", "{started:?}");
    at("disk.img")
}

/// The severity and the message of one thing that was looked at.
fn found<'a>(check: &'a Value, code: &str) -> (&'a str, &'a str) {
    let items = check["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["code"] == code);
    let item = item.unwrap_or_else(|| panic!("nothing is said of '{code}': {check}"));
    (item["severity"].as_str().unwrap(), item["message"].as_str().unwrap())
}

#[test]
fn a_guest_takes_its_disk_along_and_goes_nowhere_without_it() {
    if !has_kvm() {
        return;
    }
    let hosts = Hosts::start();
    let image = with_disk(&hosts, "");
    let checked = hosts.run("a", "vm check web1 --target b -o json");
    let check: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(checked.code, Some(0), "{check}");
    // The guest has it locked, on the same host: it is no stranger.
    for code in ["disks", "disk_lock", "network", "machine", "cpu"] {
        assert_eq!(found(&check, code).0, "ok", "{check}");
    }
    let moved = hosts.run("a", "migrate web1 b");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    let there = hosts.json("b", "vm show web1");
    let command = fs::read_to_string(format!("/proc/{}/cmdline", there["pid"])).unwrap();
    assert!(command.contains(&format!("--allow\0{}", image.display())), "{command}");

    fs::rename(&image, image.with_extension("elsewhere")).unwrap();
    for words in ["vm check web1 --target a", "migrate web1 a --check", "migrate web1 a"] {
        let refused = hosts.run("b", words);
        assert_eq!(refused.code, Some(4), "{words}: {refused:?}");
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(said.contains("a has no disk"), "{words}: {said}");
        assert!(said.contains("mount that at the same path"), "{words}: {said}");
    }
    assert_eq!(hosts.json("b", "vm show web1")["state"], "running");
}

#[test]
fn a_name_and_a_socket_are_not_compared() {
    let hosts = Hosts::start();
    let mixed = hosts.run("a", "vm check web1 --target ./b.qmp");
    assert_eq!(mixed.code, Some(1), "{mixed:?}");
    assert!(mixed.stderr.contains("write a socket with a slash"), "{mixed:?}");
}
