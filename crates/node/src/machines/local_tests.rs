use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::*;
use crate::ownership::{Ownership, Step};

const MONITOR: &str = "/data/machines/web1/qmp";

#[test]
fn a_machine_is_known_by_where_it_has_its_monitor() {
    for words in [
        &["landfall", "vm", "run", "--qmp", MONITOR, "--incoming=tcp:127.0.0.1:0"][..],
        &["qemu", "-qmp", "unix:/data/machines/web1/qmp,server=on,wait=off"],
        &["qemu", "-chardev", "socket,id=m,path=/data/machines/web1/qmp,server=on,wait=off"],
        &["qemu", "-chardev", "socket,id=m,server=on,path=/data/machines/web1/qmp"],
    ] {
        assert!(serves(words, MONITOR), "{words:?}");
    }
}

#[test]
fn who_only_speaks_with_it_or_is_another_is_left_alone() {
    for words in [
        &["landfall", "status", MONITOR][..],
        &["landfall", "vm", "run", "--qmp", "/data/machines/web11/qmp"],
        &["landfall", "vm", "run", "--qmp", "/other/data/machines/web1/qmp"],
        &["socat", "-", "unix:/data/machines/web1/qmp"],
        &["qemu", "-qmp", "unix:/data/machines/web1/qmp2,server=on"],
        &["sh", "-c", "qemu -qmp unix:/data/machines/web1/qmp,server=on"],
        &[],
    ] {
        assert!(!serves(words, MONITOR), "{words:?}");
    }
}

/// A process that waits to be ended, with these arguments behind its own.
struct Waiting(Child);

impl Waiting {
    fn with(arguments: [&str; 2]) -> Self {
        let command = ["-c", "read nothing", "sh"];
        let mut sh = Command::new("sh");
        sh.args(command).args(arguments).stdin(Stdio::piped());
        Self(sh.spawn().unwrap())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn record(machines: &LocalMachines) -> VmRecord {
    let spec: crate::model::VmSpec =
        toml::from_str("name = 'web1'\n[native]\nmemory = '64MiB'\nprobe = { workload = 'sweep' }")
            .unwrap();
    let step = Step::Expect {
        from: "a".parse().unwrap(),
        migration: "0123456789abcdef".parse().unwrap(),
        epoch: 1,
    };
    VmRecord {
        monitor: machines.monitor(&spec.name),
        ownership: Ownership::after(None, &step).unwrap(),
        spec,
        process: None,
        trouble: None,
        settlement: None,
    }
}

#[test]
fn a_process_that_nobody_has_noted_down_is_ended_with_its_machine() {
    let folder = TempDir::new().unwrap();
    let machines = LocalMachines::new("landfall".into(), folder.path().to_owned(), None);
    let record = record(&machines);
    let monitor = record.monitor.to_str().unwrap();
    let (mut machine, mut bystander) =
        (Waiting::with(["--qmp", monitor]), Waiting::with(["status", monitor]));
    machines.end(&record);
    assert!(!machine.0.wait().unwrap().success());
    assert_eq!(bystander.0.try_wait().unwrap(), None);
}

#[test]
fn what_is_left_of_a_machine_that_is_not_here_is_ended() {
    let folder = TempDir::new().unwrap();
    let machines = LocalMachines::new("landfall".into(), folder.path().to_owned(), None);
    let mut record = record(&machines);
    let mut machine = Waiting::with(["--qmp", record.monitor.to_str().unwrap()]);
    // One that was taken in from elsewhere is not ours to end.
    let monitor = std::mem::replace(&mut record.monitor, "/run/other/qmp".into());
    machines.end_strays(&record);
    assert_eq!(machine.0.try_wait().unwrap(), None);
    record.monitor = monitor;
    machines.end_strays(&record);
    assert!(!machine.0.wait().unwrap().success());
}

#[test]
fn a_machine_may_open_what_its_description_names_and_its_own_folder() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (disk, missing, more) = (at("web1.img"), at("missing.img"), at("snapshots"));
    fs::write(&disk, "").unwrap();
    fs::create_dir(&more).unwrap();
    let machines = LocalMachines::new("landfall".into(), at("machines"), Some("/id".into()));
    let machines = machines.allowing(vec![more.clone()]);
    let mut record = record(&machines);
    let text = format!(
        "name = 'web1'\n[native]\nmemory = '64MiB'\n[native.kernel]\nimage = '/boot/vmlinuz'\ndisks = [{{ path = {disk:?} }}, {{ path = {missing:?} }}]"
    );
    record.spec = toml::from_str(&text).unwrap();
    let command = machines.native(&record).unwrap();
    let words: Vec<_> = command.get_args().collect();
    let after = |flag: &str| {
        let pairs = words.windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| PathBuf::from(pair[1])).collect::<Vec<_>>()
    };
    assert_eq!(after("--allow"), [disk, more, at("machines/web1")]);
    assert!(at("machines/web1").is_dir(), "what is not there cannot be allowed");
    // Named by an option of its own, it may be opened anyway.
    assert_eq!(after("--tls-identity"), [PathBuf::from("/id")]);
}
