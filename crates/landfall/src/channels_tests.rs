use super::*;

#[test]
fn a_number_is_taken_as_it_is() {
    for (text, number) in [("1", 1), ("16", 16), ("128", 128)] {
        let channels: Channels = text.parse().unwrap();
        let mut parameters = ParametersUpdate::default();
        channels.add_to(&mut parameters, Some(ByteRate::new(1e6)));
        assert_eq!(parameters.multifd_channels, Some(number));
        assert_eq!(parameters.channels_by_speed, Some(false));
        assert_eq!(channels.to_string(), text);
    }
    for wrong in ["0", "129", "-1", "many", ""] {
        assert!(wrong.parse::<Channels>().unwrap_err().contains("1 to 128"), "{wrong}");
    }
}

#[test]
fn by_itself_speed_decides() {
    let auto: Channels = "auto".parse().unwrap();
    let mut parameters = ParametersUpdate::default();
    auto.add_to(&mut parameters, None);
    assert_eq!(parameters.channels_by_speed, Some(true));
    assert_eq!(parameters.multifd_channels, Some(most_channels(None)));
}
