//! A disk belongs to one machine at a time: to the source until the guest is given away, and to the destination from then on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use landfall_migrate::report::Outcome;
use landfall_qmp::{Command, RunState};
use landfall_vmm::devices::{Disk, DiskChoice, DiskError};
use tempfile::TempDir;

use crate::elf::kernel;
use crate::frame::Tag;
use crate::machine::{HAND_OVER, Machine, WIDE, landfall};
use crate::pair::{assert_completed, assert_ended, uri};
use crate::proxy::{Fault, Moment, Proxy};

/// Jumps to itself.
const IDLE: [u8; 2] = [0xEB, 0xFE];

/// A guest with a disk at its source, and what it needs.
struct Owner {
    source: Machine,
    folder: TempDir,
    destinations: u32,
}

/// A process that waits for the guest.
struct Destination {
    machine: Machine,
    socket: PathBuf,
}

impl Owner {
    /// `None` where there is no KVM.
    fn start() -> Option<Self> {
        if let Err(error) = landfall_vmm::kvm::is_available() {
            eprintln!("skipping KVM: {error}");
            return None;
        }
        let folder = TempDir::with_prefix("landfall-").unwrap();
        fs::write(folder.path().join("kernel"), kernel(&IDLE)).unwrap();
        File::create(folder.path().join("disk")).unwrap().set_len(1 << 20).unwrap();
        let source = Machine::start("source", folder.path(), &texts(&arguments(folder.path())));
        Some(Self { source, folder, destinations: 0 })
    }

    fn destination(&mut self) -> Destination {
        self.destinations += 1;
        let role = format!("destination-{}", self.destinations);
        let socket = self.folder.path().join(&role);
        let machine = Machine::start(&role, self.folder.path(), &["--incoming", &uri(&socket)]);
        Destination { machine, socket }
    }

    /// Begins a migration in which `fault` happens at the first frame of a kind.
    fn migrate_with(&mut self, destination: &Destination, tag: Tag, fault: Fault) -> Proxy {
        let here = destination.socket.with_extension("proxy");
        let proxy = Proxy::between(&here, &destination.socket, Moment::first(tag), fault);
        self.source.migrate(uri(&here), &WIDE.impatient());
        proxy.wait_until_struck();
        proxy
    }

    fn disk(&self) -> Disk {
        let path = self.folder.path().join("disk");
        Disk::open(&DiskChoice { path, read_only: false }).unwrap()
    }

    fn assert_disk_is_taken(&self) {
        let locked = self.disk().lock();
        assert!(matches!(locked, Err(DiskError::InUse(_))), "{locked:?}");
    }

    fn assert_disk_is_free(&self) {
        self.disk().lock().unwrap();
    }

    /// The guest and its disk stayed, and can still be moved.
    fn assert_stayed(mut self) {
        assert_eq!(self.source.status(), RunState::Running);
        self.assert_disk_is_taken();
        let mut destination = self.destination();
        self.source.migrate(uri(&destination.socket), &WIDE);
        assert_completed(&self.source.report());
        until(&mut destination.machine, RunState::Running);
        // Its process is at an end, and with it whatever it had.
        self.source.process().kill();
        self.assert_disk_is_taken();
    }
}

#[test]
fn a_disk_that_a_destination_may_not_open_stays_with_its_guest() {
    let Some(mut owner) = Owner::start() else { return };
    if !owner.source.is_limited_to_paths() {
        eprintln!("skipping: this kernel has no Landlock");
        return;
    }
    let images = owner.folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let socket = owner.folder.path().join("elsewhere");
    let arguments = ["--incoming", &uri(&socket), "--allow", images.to_str().unwrap()];
    let destination = Machine::start("elsewhere", owner.folder.path(), &arguments);
    owner.source.migrate(uri(&socket), &WIDE);
    let report = owner.source.report();
    assert_ended(&report, Outcome::Failed, "Permission denied");
    assert!(destination.last_words().contains("disk cannot be opened"));
    owner.assert_stayed();
}

/// `landfall vm check`; its exit code, and what it printed.
fn check(source: &Machine, target: &Path) -> (Option<i32>, String) {
    let mut command = landfall();
    command.args(["vm", "check"]).arg(source.monitor()).arg("--target").arg(target);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn what_is_in_the_way_is_told_before_anything_is_moved() {
    let Some(mut owner) = Owner::start() else { return };
    let mut destination = owner.destination();
    let target = destination.machine.monitor().to_owned();
    let (code, said) = check(&owner.source, &target);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("can run the guest: 1 vCPU, 16 MiB, all that"), "{said}");
    assert!(said.contains("disks: 1"), "{said}");
    let disk = owner.folder.path().join("disk");
    let away = owner.folder.path().join("away");
    fs::rename(&disk, &away).unwrap();
    let (code, said) = check(&owner.source, &target);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("disk cannot be opened"), "{said}");
    fs::rename(away, disk).unwrap();
    let (code, said) = check(&owner.source, &owner.folder.path().join("nobody"));
    assert_eq!(code, Some(1), "{said}");
    // Neither has noticed, and what was checked is what happens.
    assert_eq!(destination.machine.status(), RunState::Inmigrate);
    owner.assert_disk_is_taken();
    owner.source.migrate(uri(&destination.socket), &WIDE);
    assert_completed(&owner.source.report());
    until(&mut destination.machine, RunState::Running);
    let (code, said) = check(&owner.source, &target);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("did not do what was asked"), "{said}");
}

fn arguments(folder: &Path) -> [String; 8] {
    let path = |name| folder.join(name).display().to_string();
    let [kernel, disk] = ["kernel", "disk"].map(path);
    let words = ["--machine", "kvm", "--memory", "16MiB", "--kernel", &kernel, "--disk", &disk];
    words.map(str::to_owned)
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn until(machine: &mut Machine, state: RunState) {
    machine.until("its state", |machine| (machine.status() == state).then_some(()));
}

fn settle(machine: &Machine) -> Option<i32> {
    let mut command = landfall();
    command.arg("settle").arg(machine.monitor()).arg("run");
    command.output().unwrap().status.code()
}

#[test]
fn a_disk_in_use_is_refused_to_another_machine() {
    let Some(owner) = Owner::start() else { return };
    let mut command = landfall();
    command.args(["vm", "run", "--qmp"]).arg(owner.folder.path().join("other.qmp"));
    let ended = command.args(arguments(owner.folder.path())).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("is in use by another process; end that one first"), "{said}");
}

/// The disk is no part of a snapshot, and would be ahead of it.
#[test]
fn a_guest_that_writes_to_disks_is_put_into_a_file_only_to_stop() {
    let Some(mut owner) = Owner::start() else { return };
    let file = owner.folder.path().join("snapshot");
    let snapshot = |stop| Command::Snapshot { file: file.display().to_string(), stop };
    let why = owner.source.refusal(&snapshot(false));
    assert!(why.contains("take it with --stop"), "{why}");
    assert_eq!(owner.source.status(), RunState::Running);
    owner.source.execute(&snapshot(true));
    assert_eq!(owner.source.status(), RunState::Paused);
    owner.assert_disk_is_taken();
    owner.source.process().kill();
    let restore = ["--restore", file.to_str().unwrap()];
    let mut restored = Machine::start("restored", owner.folder.path(), &restore);
    assert_eq!(restored.status(), RunState::Running);
    owner.assert_disk_is_taken();
}

#[test]
fn the_disk_goes_with_the_guest() {
    let Some(mut owner) = Owner::start() else { return };
    let mut destination = owner.destination();
    owner.source.migrate(uri(&destination.socket), &WIDE);
    assert_completed(&owner.source.report());
    until(&mut destination.machine, RunState::Running);
    owner.assert_disk_is_taken();
    owner.source.process().kill();
    owner.assert_disk_is_taken();
    destination.machine.process().kill();
    owner.assert_disk_is_free();
}

#[test]
fn the_disk_of_a_guest_that_is_paused_goes_with_it() {
    let Some(mut owner) = Owner::start() else { return };
    owner.source.execute(&Command::Stop);
    let mut destination = owner.destination();
    owner.source.migrate(uri(&destination.socket), &WIDE);
    assert_completed(&owner.source.report());
    until(&mut destination.machine, RunState::Paused);
    owner.source.process().kill();
    owner.assert_disk_is_taken();
}

#[test]
fn a_destination_that_dies_before_the_word_never_had_the_disk() {
    let held =
        [Tag::Welcome, Tag::Pages, Tag::PassReceived, Tag::State].map(|tag| (tag, Fault::Hold));
    // What it says last must not reach the source after all.
    for (tag, fault) in held.into_iter().chain([(Tag::Ready, Fault::Cut)]) {
        let Some(mut owner) = Owner::start() else { return };
        let destination = owner.destination();
        let mut proxy = owner.migrate_with(&destination, tag, fault);
        owner.assert_disk_is_taken();
        destination.machine.process().kill();
        proxy.go_on();
        let report = owner.source.report();
        assert_eq!(report.outcome, Outcome::Failed, "{tag:?}: {:?}", report.reason);
        owner.assert_stayed();
    }
}

#[test]
fn a_guest_in_doubt_takes_its_disk_where_an_operator_lets_it_run_and_nowhere_else() {
    let Some(mut owner) = Owner::start() else { return };
    let mut destination = owner.destination();
    owner.migrate_with(&destination, Tag::Commit, Fault::Cut);
    assert_ended(&owner.source.report(), Outcome::InDoubt, "the guest was given away");
    until(&mut destination.machine, RunState::Paused);
    assert_eq!(settle(&owner.source), Some(0));
    owner.assert_disk_is_taken();
    // A second decision for the same guest is a mistake, and the disk is what notices.
    assert_eq!(settle(&destination.machine), Some(1));
    assert_ne!(destination.machine.status(), RunState::Running);
    owner.source.process().kill();
    assert_eq!(settle(&destination.machine), Some(0));
    owner.assert_disk_is_taken();
}

#[test]
fn a_guest_whose_disk_is_snatched_away_runs_nowhere_until_it_is_given_back() {
    let Some(mut owner) = Owner::start() else { return };
    let mut destination = owner.destination();
    let mut proxy = owner.migrate_with(&destination, Tag::Commit, Fault::Hold);
    let thief = owner.disk();
    thief.lock().unwrap();
    proxy.go_on();
    assert_ended(&owner.source.report(), Outcome::InDoubt, "is in use by another process");
    until(&mut destination.machine, RunState::Paused);
    assert_eq!(settle(&destination.machine), Some(1));
    assert_eq!(settle(&owner.source), Some(1));
    drop(thief);
    assert_eq!(settle(&destination.machine), Some(0));
    until(&mut destination.machine, RunState::Running);
    assert_eq!(settle(&owner.source), Some(1));
}

#[test]
fn the_disk_of_a_guest_that_is_handed_over_goes_with_it() {
    let Some(mut owner) = Owner::start() else { return };
    let mut destination = owner.destination();
    owner.source.migrate(uri(&destination.socket), &HAND_OVER);
    assert_completed(&owner.source.report());
    until(&mut destination.machine, RunState::Running);
    owner.source.process().kill();
    owner.assert_disk_is_taken();
}

#[test]
fn a_guest_whose_disk_is_snatched_away_in_a_hand_over_stays_until_it_is_given_back() {
    let Some(mut owner) = Owner::start() else { return };
    let destination = owner.destination();
    let here = destination.socket.with_extension("proxy");
    let commit = Moment::first(Tag::Commit);
    let mut proxy = Proxy::between(&here, &destination.socket, commit, Fault::Hold);
    owner.source.migrate(uri(&here), &HAND_OVER);
    proxy.wait_until_struck();
    let thief = owner.disk();
    thief.lock().unwrap();
    proxy.go_on();
    let report = owner.source.report();
    assert_ended(&report, Outcome::Failed, "could not be started");
    assert_ended(&report, Outcome::Failed, "the guest could not be resumed");
    assert_eq!(owner.source.status(), RunState::Paused);
    let refusal = owner.source.refusal(&Command::Cont);
    assert!(refusal.contains("is in use by another process"), "{refusal}");
    drop(thief);
    owner.source.execute(&Command::Cont);
    owner.assert_stayed();
}
