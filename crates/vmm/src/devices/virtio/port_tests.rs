use std::thread;

use super::*;

/// Runs `body` where there is a network of its own with a tap in it, if this host allows that.
fn with_tap(name: &'static str, body: impl FnOnce() + Send + 'static) {
    let ended = thread::spawn(move || {
        // SAFETY: only this thread moves to a new network, which goes with it.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipping a tap: {}", io::Error::last_os_error());
            return;
        }
        match made(name) {
            Ok(()) => body(),
            Err(error) => eprintln!("skipping a tap: {error}"),
        }
    });
    ended.join().unwrap();
}

/// Makes a tap that stays when nobody has it.
fn made(name: &str) -> io::Result<()> {
    let file = crate::devices::virtio::tap::open_as(name)?;
    // SAFETY: the descriptor is open; the request takes a number.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETPERSIST, 1) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn only_one_process_has_a_tap_until_it_lets_go() {
    with_tap("lf-test", || {
        let choice: NetChoice = "tap=lf-test".parse().unwrap();
        let [first, second] = [0, 1].map(|_| Port::new(&choice).unwrap());
        first.claim().unwrap();
        first.claim().unwrap();
        assert!(matches!(second.claim(), Err(NetError::InUse(name)) if name == "lf-test"));
        first.let_go();
        assert!(first.receive(&mut [0; 100]).is_none());
        second.claim().unwrap();
        assert!(matches!(first.claim(), Err(NetError::InUse(_))));
    });
}

#[test]
fn a_port_without_a_tap_on_this_host_is_refused_at_once() {
    let error = Port::new(&"tap=lf-none".parse().unwrap()).unwrap_err();
    assert!(matches!(error, NetError::Missing(name) if name == "lf-none"));
}

#[test]
fn who_waits_for_frames_hears_of_the_end() {
    let choice: NetChoice = "tap=none".parse().unwrap();
    let port = std::sync::Arc::new(Port::unattached("none", choice.mac).unwrap());
    let waiting = std::sync::Arc::clone(&port);
    let waiting = thread::spawn(move || waiting.wait());
    port.end();
    assert!(!waiting.join().unwrap());
}
