use super::*;

#[test]
fn sizes_and_rates_are_read_with_their_unit_only() {
    assert_eq!("512MiB".parse(), Ok(Bytes(512 << 20)));
    assert_eq!("1.5 GiB".parse(), Ok(Bytes(3 << 29)));
    assert_eq!("125MB/s".parse(), Ok(ByteRate::new(125e6)));
    assert_eq!("10Gbit/s".parse(), Ok(ByteRate::new(1.25e9)));
    assert!(matches!("512".parse::<Bytes>(), Err(ParseUnitError::Unit(..))));
    assert!(matches!("125MB".parse::<ByteRate>(), Err(ParseUnitError::Unit(..))));
    assert!(matches!("MiB".parse::<Bytes>(), Err(ParseUnitError::NoNumber(..))));
    assert!(matches!("0MB/s".parse::<ByteRate>(), Err(ParseUnitError::Range(..))));
}

#[test]
fn a_throttle_is_read_as_a_share_or_in_per_cent_and_never_above_99() {
    assert_eq!("80%".parse(), Ok(Throttle::new(0.8)));
    assert_eq!("0.8".parse(), Ok(Throttle::new(0.8)));
    assert!("100%".parse::<Throttle>().is_err());
    assert!("80".parse::<Throttle>().is_err());
    assert_eq!(Throttle::new(3.0), Throttle::MAX);
    assert_eq!(Throttle::new(f64::NAN), Throttle::NONE);
}

#[test]
fn quantities_are_shown_as_people_write_them() {
    assert_eq!(Bytes(128 << 20).to_string(), "128 MiB");
    assert_eq!(Bytes(1_000).to_string(), "1000 B");
    assert_eq!(ByteRate::new(125e6).to_string(), "125 MB/s");
    assert_eq!(ByteRate::new(1.0432e9).to_string(), "1.04 GB/s");
    assert_eq!(ByteRate::new(12.34e6).to_string(), "12.3 MB/s");
    assert_eq!(ByteRate::new(999.6e6).to_string(), "1.00 GB/s");
    assert_eq!(Throttle::new(0.871).to_string(), "87 %");
}

#[test]
fn bytes_take_no_time_when_there_are_none_and_forever_when_nothing_moves() {
    assert_eq!(Bytes(0).time_at(ByteRate::ZERO), Some(Duration::ZERO));
    assert_eq!(Bytes(1).time_at(ByteRate::ZERO), None);
    assert_eq!(Bytes(125_000_000).time_at(ByteRate::new(125e6)), Some(Duration::from_secs(1)));
}
