use std::fs::{self, File};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use tempfile::TempDir;

use super::*;
use crate::peer::Offer;

fn survey(machine: &str, host: &str) -> Survey {
    let spec = toml::from_str(&format!("name = 'web1'\n{machine}")).unwrap();
    let offer =
        Offer { spec, migration: "a-1".parse().unwrap(), from: "a".parse().unwrap(), epoch: 2 };
    let (host, process) = (host.to_owned(), Some(std::process::id()));
    Survey { offer, host, process, images: Vec::new(), configuration: None }
}

fn with_disk(path: &str, host: &str) -> Survey {
    let kernel = format!("image = '/k'\ndisks = [{{ path = '{path}' }}]");
    survey(&format!("[native]\nmemory = '64MiB'\n[native.kernel]\n{kernel}"), host)
}

fn look(
    survey: &Survey,
    by: impl Fn(&Site<'_>) -> Vec<CheckItem>,
) -> Vec<(String, Severity, String)> {
    let node: NodeName = "b".parse().unwrap();
    let found = by(&Site::of(&node, survey));
    found.into_iter().map(|item| (item.code, item.severity, item.message)).collect()
}

/// What is found of one code: its severity, and its message.
fn one(found: &[(String, Severity, String)], code: &str) -> (Severity, String) {
    let mut of_code = found.iter().filter(|(own, ..)| own == code);
    let (_, severity, message) = of_code.next().unwrap_or_else(|| panic!("no {code}: {found:?}"));
    assert!(of_code.next().is_none(), "{found:?}");
    (*severity, message.clone())
}

fn disk(folder: &TempDir, bytes: usize) -> String {
    let path = folder.path().join("web1.img");
    fs::write(&path, vec![0; bytes]).unwrap();
    path.display().to_string()
}

fn lock(path: &str) -> File {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let l_type = i16::try_from(libc::F_WRLCK).unwrap();
    let lock = libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn a_disk_that_is_not_there_is_an_error_that_says_what_to_do() {
    let found = look(&with_disk("/no/such.img", "elsewhere"), |site| site.disks());
    let (severity, message) = one(&found, "disks");
    assert_eq!(severity, Severity::Error);
    assert!(message.contains("b has no disk /no/such.img; put it on storage"), "{message}");
    assert_eq!(found.len(), 1, "nothing is known of its lock: {found:?}");
}

#[test]
fn an_image_of_another_length_or_format_is_another_image() {
    let folder = TempDir::new().unwrap();
    let path = disk(&folder, 1024);
    let mut survey = with_disk(&path, "elsewhere");
    let image = Image::at(path.as_ref(), false).unwrap();
    for (there, why) in [
        (Image { bytes: 2048, ..image.clone() }, "(1024 bytes) on b, and"),
        (Image { format: "qcow2".to_owned(), ..image.clone() }, "is raw on b, and qcow2 on a"),
    ] {
        survey.images = vec![there];
        let (severity, message) = one(&look(&survey, |site| site.disks()), "disks");
        assert_eq!(severity, Severity::Error);
        assert!(message.contains(why) && message.contains("not the same image"), "{message}");
    }
    survey.images = vec![image];
    let found = look(&survey, |site| site.disks());
    assert_eq!(one(&found, "disks").0, Severity::Ok);
    assert_eq!(one(&found, "disk_lock").0, Severity::Ok);
}

#[test]
fn a_lock_of_the_guest_itself_goes_with_it_and_that_of_another_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = disk(&folder, 1024);
    let held = lock(&path);
    // The guest is this process, on the same host.
    let found = look(&with_disk(&path, &host::boot_id()), |site| site.disks());
    assert_eq!(one(&found, "disk_lock").0, Severity::Ok, "{found:?}");
    // It is on another host, so this process is somebody else.
    let (severity, message) =
        one(&look(&with_disk(&path, "elsewhere"), |site| site.disks()), "disk_lock");
    assert_eq!(severity, Severity::Error);
    assert!(message.contains(&format!("process {} on b", std::process::id())), "{message}");
    drop(held);
}

#[test]
fn a_lock_at_the_source_that_is_not_seen_here_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let path = disk(&folder, 1024);
    let mut survey = with_disk(&path, "elsewhere");
    survey.images = vec![Image { locked: true, ..Image::at(path.as_ref(), false).unwrap() }];
    let (severity, message) = one(&look(&survey, |site| site.disks()), "disk_lock");
    assert_eq!(severity, Severity::Warning);
    assert!(message.contains("does not see the lock"), "{message}");
}

#[test]
fn an_interface_that_is_missing_or_no_tap_is_named() {
    let with_tap = |tap: &str| {
        let kernel = format!("image = '/k'\nnetwork = [{{ tap = '{tap}' }}]");
        survey(&format!("[native]\nmemory = '64MiB'\n[native.kernel]\n{kernel}"), "elsewhere")
    };
    for (tap, why) in [
        ("lf-none", "b has no interface lf-none; make it there with: ip tuntap"),
        ("lo", "lo on b is no tap"),
    ] {
        let (severity, message) = one(&look(&with_tap(tap), |site| site.network()), "network");
        assert_eq!(severity, Severity::Error);
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn what_a_qemu_needs_is_looked_at_as_far_as_it_can_be_known() {
    let with =
        |words: &str| survey(&format!("[qemu]\nsocket = '/run/q'\ncommand = {words}"), "elsewhere");
    let network = |words: &str| one(&look(&with(words), |site| site.network()), "network");
    let (severity, message) = network("['qemu', '-netdev', 'tap,id=n,ifname=lf-none,script=no']");
    assert_eq!(severity, Severity::Warning);
    assert!(message.contains("QEMU makes one"), "{message}");
    assert_eq!(network("['qemu', '-nic', 'bridge,br=lf-br']").0, Severity::Error);
    assert_eq!(network("['qemu', '-netdev', 'tap,id=n,fd=7']").0, Severity::Warning);
    assert_eq!(network("['qemu', '-nic', 'user']").0, Severity::Ok);
    let found = look(&with("['/no/qemu', '-kernel', '/no/kernel']"), |site| vec![site.files()]);
    assert!(one(&found, "files").1.contains("b has no /no/qemu, no /no/kernel"), "{found:?}");
}
