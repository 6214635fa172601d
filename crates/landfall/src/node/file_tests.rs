use super::*;

fn of(text: &str) -> Result<Written, String> {
    understood(text, Path::new("/etc/landfall"))
}

#[test]
fn everything_that_a_flag_says_can_be_written_down() {
    let written = of(concat!(
        "name = 'a'\nlisten = '0.0.0.0:7101'\ndata = '/srv/landfall'\nidentity = 'identity'\nreached-at = 'host-a'\n",
        "max-outgoing = 1\nmax-incoming = 3\nbandwidth = '125MB/s'\nallow = ['/srv/snapshots', 'more']\n[peers]\nb = 'https://host-b:7101'\n",
    ));
    let written = written.unwrap();
    assert_eq!(written.name.unwrap().as_str(), "a");
    assert_eq!(written.listen.unwrap().to_string(), "0.0.0.0:7101");
    assert_eq!(written.data.unwrap(), Path::new("/srv/landfall"));
    assert_eq!(written.identity.unwrap(), Path::new("/etc/landfall/identity"), "from the file on");
    assert_eq!(written.reached_at.unwrap(), "host-a");
    assert_eq!((written.max_outgoing, written.max_incoming), (Some(1), Some(3)));
    assert_eq!(written.bandwidth, Some(ByteRate::new(125e6)));
    assert_eq!(written.peers[0].1, "https://host-b:7101");
    assert_eq!(written.allow, [Path::new("/srv/snapshots"), Path::new("/etc/landfall/more")]);
    assert!(!written.insecure);
}

#[test]
fn what_is_wrong_in_it_is_named() {
    for (text, why) in [
        ("nmae = 'a'", "nmae"),
        ("bandwidth = 'fast'", "bandwidth"),
        ("[peers]\nb = 'host-b'", "write it as https://"),
        ("insecure = true\nidentity = 'x'", "not both"),
    ] {
        let error = of(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn the_file_that_comes_with_it_is_understood() {
    let written = of(include_str!("../../../../packaging/landfall.toml")).unwrap();
    assert_eq!(written.name.unwrap().as_str(), "host-a");
}
