use std::process::Command;

use tempfile::TempDir;

use super::*;

fn lock(file: &File) {
    let wanted = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&wanted)).unwrap();
}

#[test]
fn an_image_is_described_and_a_lock_on_it_is_seen_and_by_whom() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk.img");
    fs::write(&path, [b"QFI\xfb".as_slice(), &[0; 508]].concat()).unwrap();
    let image = Image::at(&path, false).unwrap();
    assert_eq!((image.bytes, image.format.as_str(), image.locked), (512, "qcow2", false));
    assert_eq!(lock_holders(&path), Vec::<u32>::new());

    let held = File::options().read(true).write(true).open(&path).unwrap();
    lock(&held);
    for read_only in [false, true] {
        assert!(Image::at(&path, read_only).unwrap().locked);
    }
    assert_eq!(lock_holders(&path), [std::process::id()]);
    drop(held);
    assert!(!Image::at(&path, false).unwrap().locked);
}

#[test]
fn what_is_no_image_is_an_error() {
    let folder = TempDir::new().unwrap();
    let missing = Image::at(&folder.path().join("none"), true).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(Image::at(folder.path(), true).is_err());
}

#[test]
fn interfaces_are_known_by_their_names() {
    let lo = Interface::named("lo").unwrap();
    assert!(!lo.is_tap);
    for name in ["", "../lo", "no-such-one"] {
        assert_eq!(Interface::named(name), None);
    }
}

/// A tap of this test's own, if it may make one.
struct Tap(String);

impl Tap {
    fn make() -> Option<Self> {
        let name = format!("lft{}", std::process::id() % 1_000_000);
        let ip = |words: &[&str]| {
            Command::new("ip").args(words).output().is_ok_and(|it| it.status.success())
        };
        if !ip(&["tuntap", "add", "dev", &name, "mode", "tap"]) {
            eprintln!("skipping: no tap can be made here");
            return None;
        }
        let this = Self(name);
        assert!(ip(&["link", "set", &this.0, "up"]));
        Some(this)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.0]).status();
    }
}

#[test]
fn a_tap_that_nobody_holds_is_free() {
    let Some(tap) = Tap::make() else { return };
    let found = Interface::named(&tap.0).unwrap();
    assert_eq!(found, Interface { is_tap: true, is_up: true, taken: Some(false) });
    assert_eq!(tap_holders(&tap.0), Vec::<u32>::new());
}
