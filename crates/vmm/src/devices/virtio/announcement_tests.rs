use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use super::*;

#[test]
fn whoever_passes_frames_on_hears_several_times_from_the_guests_address() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mac: Mac = "52:54:00:12:34:56".parse().unwrap();
    let port = Arc::new(Port::with(mac, OwnedFd::from(ours).into()));
    let announcement = Announcement::begin(&[port]).unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for _ in 0..=PAUSES.len() {
        let mut frame = [0; 100];
        assert_eq!(theirs.recv(&mut frame).unwrap(), FRAME);
        assert_eq!((&frame[..6], &frame[6..12]), (&[0xFF; 6][..], &mac.bytes()[..]));
        assert_eq!(frame[12..22], [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
    }
    drop(announcement);
}
