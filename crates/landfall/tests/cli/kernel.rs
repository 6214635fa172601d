//! `landfall vm run --kernel`: a kernel of a few bytes, to the end that it chooses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use landfall_qmp::{Client, Command};
use tempfile::TempDir;

use crate::elf::kernel;
use crate::monitor::{Ended, landfall};

/// 32-bit code that says `!` on the serial port, waits for a byte from there, and writes `value` to `port`.
fn says_and_ends(port: u16, value: u8) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    let say = [0x66, 0xBA, 0xF8, 0x03, 0xB0, b'!', 0xEE];
    // Bit 0 of the line status.
    let wait = [0x66, 0xBA, 0xFD, 0x03, 0xEC, 0xA8, 0x01, 0x74, 0xFB];
    let end = [0x66, 0xBA, low, high, 0xB0, value, 0xEE, 0xF4];
    [&say[..], &wait, &end].concat()
}

/// Boots `code`, lets it end, and gives how the process ended and the reason that the monitor told.
fn run(code: &[u8]) -> (Ended, String) {
    let folder = TempDir::new().unwrap();
    let path = |name| folder.path().join(name).display().to_string();
    fs::write(path("kernel"), kernel(code)).unwrap();
    let arguments = ["vm", "run", "--machine", "kvm", "--memory", "16MiB", "--kernel"];
    let mut process = landfall()
        .args(arguments)
        .args([&path("kernel"), "--qmp", &path("qmp")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let listening = |line: &String| line.contains("the monitor listens");
    assert!(lines.any(|line| listening(&line.unwrap())));
    let mut client = Client::connect(path("qmp"), Duration::from_secs(20)).unwrap();
    client.execute(&Command::QueryStatus).unwrap();
    // The byte that it waits for.
    process.stdin.take().unwrap().write_all(b"x").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut reason = None;
    while let Ok(Some(event)) = client.wait_event(deadline) {
        if event.event == "SHUTDOWN" {
            reason = event.data.unwrap()["reason"].as_str().map(str::to_owned);
        }
    }
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    let mut ended = Ended::from(process.wait_with_output().unwrap());
    ended.stderr = said.join("\n");
    (ended, reason.unwrap())
}

fn has_kvm() -> bool {
    landfall_vmm::kvm::is_available()
        .inspect_err(|error| eprintln!("skipping KVM: {error}"))
        .is_ok()
}

#[test]
fn a_guest_that_powers_off_ends_the_process_well() {
    if has_kvm() {
        let (ended, reason) = run(&says_and_ends(0x604, 0x34));
        assert_eq!((ended.code, &ended.stdout[..], &reason[..]), (Some(0), "!", "guest-shutdown"));
        assert_eq!(ended.last_line(), "the guest powered off");
    }
}

#[test]
fn a_guest_that_resets_itself_says_so_by_the_exit_code() {
    if has_kvm() {
        let (ended, reason) = run(&says_and_ends(0x608, 1));
        assert_eq!((ended.code, &ended.stdout[..], &reason[..]), (Some(8), "!", "guest-reset"));
    }
}

#[test]
fn a_guest_that_crashes_is_an_error() {
    if has_kvm() {
        // An undefined instruction, and nowhere to go with it.
        let (ended, reason) = run(&[&says_and_ends(0x80, 0)[..16], &[0x0F, 0x0B]].concat());
        assert_eq!((ended.code, &reason[..]), (Some(1), "guest-panic"));
        assert!(ended.stderr.contains("triple fault"), "{ended:?}");
    }
}

#[test]
fn a_file_that_is_no_kernel_is_refused_with_what_to_give_instead() {
    if has_kvm() {
        let folder = TempDir::new().unwrap();
        let (kernel, socket) = (folder.path().join("text"), folder.path().join("qmp"));
        fs::write(&kernel, "not a kernel at all\n".repeat(100)).unwrap();
        let mut command = landfall();
        command.args(["vm", "run", "--machine", "kvm", "--kernel"]).arg(kernel);
        let ended = Ended::from(command.arg("--qmp").arg(socket).output().unwrap());
        assert_eq!(ended.code, Some(1));
        assert!(ended.last_line().contains("give a bzImage"), "{ended:?}");
    }
}
