use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use seccompiler::{BpfProgram, apply_filter};

use super::calls;

/// What `work` gives in a thread that is confined by `filter`; this one stays as it is.
fn confined<T: Send>(filter: BpfProgram, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let confined = scope.spawn(move || {
            apply_filter(&filter).unwrap();
            work()
        });
        confined.join().unwrap()
    })
}

fn refused<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn a_thread_that_faces_a_guest_opens_connects_and_starts_nothing() {
    for filter in [calls::of_vcpus(), calls::of_devices()] {
        let attempts = confined(filter.unwrap(), || {
            [
                refused(File::open("/dev/null")),
                refused(TcpListener::bind("127.0.0.1:0")),
                refused(thread::Builder::new().spawn(|| ())),
                refused(Command::new("true").status()),
            ]
        });
        assert_eq!(attempts, [true; 4]);
    }
}

#[test]
fn a_thread_that_faces_a_guest_makes_no_code() {
    let map = |protection| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping that nobody uses.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        mapped != libc::MAP_FAILED
    };
    for filter in [calls::of_vcpus(), calls::of_devices()] {
        let data = libc::PROT_READ | libc::PROT_WRITE;
        let made = confined(filter.unwrap(), || [map(data), map(data | libc::PROT_EXEC)]);
        assert_eq!(made, [true, false]);
    }
}

#[test]
fn a_thread_that_faces_a_guest_still_does_its_work() {
    let file = tempfile::tempfile().unwrap();
    let (sender, receiver) = channel();
    let work = || {
        (&file).write_all(b"serial").unwrap();
        let memory = vec![1_u8; 8 << 20];
        thread::sleep(Duration::from_millis(1));
        sender.send(memory.len()).unwrap();
    };
    confined(calls::of_vcpus().unwrap(), work);
    confined(calls::of_devices().unwrap(), || file.sync_data().unwrap());
    assert_eq!(receiver.recv(), Ok(8 << 20));
    assert_eq!(file.metadata().unwrap().len(), 6);
}

#[test]
fn a_device_gives_room_in_a_file_back_and_takes_none() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    let allocates = |mode| {
        // SAFETY: a plain call on a descriptor that is open for as long as `file` is.
        unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, 1 << 21) == 0 }
    };
    let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let done = confined(calls::of_devices().unwrap(), || {
        [hole, 0, libc::FALLOC_FL_KEEP_SIZE, libc::FALLOC_FL_ZERO_RANGE].map(allocates)
    });
    assert_eq!(done, [true, false, false, false]);
    assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    assert!(!confined(calls::of_vcpus().unwrap(), || allocates(hole)));
}

#[test]
fn the_process_has_threads_and_files_but_no_other_processes() {
    let filter = calls::of_process().unwrap();
    let older = calls::without_new_clone().unwrap();
    let attempts = confined(older, || {
        apply_filter(&filter).unwrap();
        let mut command = Command::new("true");
        [
            thread::Builder::new().spawn(|| ()).is_ok(),
            File::open("/dev/null").is_ok(),
            TcpListener::bind("127.0.0.1:0").is_ok(),
            refused(command.stdin(Stdio::null()).status()),
        ]
    });
    assert_eq!(attempts, [true; 4]);
}
