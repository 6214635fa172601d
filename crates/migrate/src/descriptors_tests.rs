use std::fs::File;
use std::io::Seek;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::*;

fn sockets() -> (Channel, Channel) {
    let (here, there) = UnixStream::pair().unwrap();
    (Channel::Unix(here), Channel::Unix(there))
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn descriptors_leave_once_and_arrive_in_their_order_with_the_bytes() {
    let (mut here, mut there) = sockets();
    let (one, two) = (file(b"one"), file(b"two"));
    let descriptors = [one.as_fd(), two.as_fd()];
    let mut passing = Passing::new(&mut here, &descriptors);
    passing.write_all(b"he").unwrap();
    passing.write_all(b"llo").unwrap();
    let mut taking = Taking::from(&mut there);
    let mut read = [0; 5];
    // Read a byte at a time, as the kernel may give them.
    for byte in &mut read {
        taking.read_exact(std::slice::from_mut(byte)).unwrap();
    }
    assert_eq!(&read, b"hello");
    let contents = taking.descriptors().into_iter().map(|descriptor| {
        let mut content = String::new();
        File::from(descriptor).read_to_string(&mut content).unwrap();
        content
    });
    assert_eq!(contents.collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn bytes_without_descriptors_arrive_as_ever() {
    let (mut here, mut there) = sockets();
    Passing::new(&mut here, &[]).write_all(b"hello").unwrap();
    let mut taking = Taking::from(&mut there);
    taking.read_exact(&mut [0; 5]).unwrap();
    assert!(taking.descriptors().is_empty());
}

#[test]
fn more_descriptors_than_belong_there_are_refused() {
    let (mut here, mut there) = sockets();
    let file = file(b"");
    let many = [file.as_fd(); MOST];
    for _ in 0..2 {
        Passing::new(&mut here, &many).write_all(b"x").unwrap();
    }
    let mut taking = Taking::from(&mut there);
    taking.read_exact(&mut [0]).unwrap();
    assert!(taking.read(&mut [0]).is_err());
    let too_many = [file.as_fd(); MOST + 1];
    assert!(Passing::new(&mut here, &too_many).write(b"x").is_err());
}

#[test]
fn over_tcp_no_descriptor_leaves_and_none_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut here, mut there) = (Channel::Tcp(here), Channel::Tcp(listener.accept().unwrap().0));
    let file = file(b"");
    let refused = Passing::new(&mut here, &[file.as_fd()]).write(b"x").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    here.write_all(b"hello").unwrap();
    let mut taking = Taking::from(&mut there);
    let mut read = [0; 5];
    taking.read_exact(&mut read).unwrap();
    assert_eq!((&read, taking.descriptors().len()), (b"hello", 0));
}
