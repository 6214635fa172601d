use super::*;

fn card(tap: &str, mac: Option<&str>) -> CardSpec {
    CardSpec { tap: tap.to_owned(), mac: mac.map(str::to_owned) }
}

#[test]
fn a_card_without_an_address_is_given_one_and_keeps_it() {
    let mut one = card("tap0", None);
    let mut other = one.clone();
    one.settle().unwrap();
    other.settle().unwrap();
    assert_ne!(one.mac, other.mac);
    assert_eq!(one.check(), Ok(()));
    let before = one.clone();
    one.settle().unwrap();
    assert_eq!(one, before);
    assert_eq!(one.flag(), format!("--net=tap=tap0,mac={}", before.mac.unwrap()));
}

#[test]
fn what_is_no_tap_or_no_address_is_refused() {
    for tap in ["", "tap/0", "tap,0", "tap 0", "a-name-of-16-cha"] {
        assert_eq!(card(tap, None).check(), Err(SpecError::Tap(tap.to_owned())));
    }
    for mac in ["", "52:54:00:12:34", "01:00:00:00:00:01", "00:00:00:00:00:00", "52:54:00:12:34:+5"]
    {
        assert_eq!(card("tap0", Some(mac)).check(), Err(SpecError::Mac(mac.to_owned())));
    }
    assert_eq!(card("tap0", Some("52:54:00:12:34:56")).check(), Ok(()));
}

#[test]
fn a_disk_is_named_by_its_whole_path() {
    let disk = |path: &str, read_only| DiskSpec { path: path.into(), read_only };
    assert_eq!(disk("/srv/a.img", false).check(), Ok(()));
    assert_eq!(disk("/srv/a.img", true).flag(), "--disk=/srv/a.img,readonly");
    for path in ["a.img", "", "/srv/a,b"] {
        assert_eq!(disk(path, false).check(), Err(SpecError::Disk(path.into())));
    }
}
