use super::*;

#[test]
fn a_card_is_read_back_as_it_is_written_and_has_an_address_of_its_own() {
    let text = "tap=tap0,mac=52:54:00:ab:cd:ef";
    let choice: NetChoice = text.parse().unwrap();
    assert_eq!(choice.to_string(), text);
    assert_eq!(choice.mac.bytes(), [0x52, 0x54, 0, 0xAB, 0xCD, 0xEF]);
    let json = serde_json::to_string(&choice).unwrap();
    assert_eq!(serde_json::from_str::<NetChoice>(&json).unwrap(), choice);
    let [first, second] = [0, 1].map(|_| "tap=tap0".parse::<NetChoice>().unwrap());
    assert_ne!(first.mac, second.mac);
    assert_eq!(first.to_string().parse::<NetChoice>().unwrap(), first);
}

#[test]
fn what_is_no_card_is_refused_with_what_to_write() {
    for text in ["tap0", "tap=", "tap=a/b", "tap=of-sixteen-bytes", "tap=a,52:54:00:12:34:56"] {
        assert!(text.parse::<NetChoice>().unwrap_err().to_string().contains("tap=NAME"), "{text}");
    }
    for mac in ["53:54:00:12:34:56", "00:00:00:00:00:00", "52:54:00:12:34", "52:54:00:12:34:56:78"]
    {
        let error = format!("tap=a,mac={mac}").parse::<NetChoice>().unwrap_err();
        assert!(error.to_string().contains("52:54:00:12:34:56"), "{mac}");
    }
}

#[test]
fn a_tap_that_is_not_there_is_not_made() {
    let error = attach("landfall-none").unwrap_err();
    assert!(error.to_string().contains("ip tuntap add dev landfall-none mode tap"), "{error}");
    assert!(!exists("landfall-none"));
    // One that is there, and is no tap.
    assert!(matches!(attach("lo"), Err(NetError::Refused(..))));
}
