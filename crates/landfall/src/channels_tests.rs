use super::*;

#[test]
fn a_number_is_taken_as_it_is() {
    for (text, number) in [("1", 1), ("16", 16), ("128", 128)] {
        let channels: Channels = text.parse().unwrap();
        assert_eq!(channels.number_on(64, Some(ByteRate::new(1e6))), number);
        assert_eq!(channels.to_string(), text);
    }
    for wrong in ["0", "129", "-1", "many", ""] {
        assert!(wrong.parse::<Channels>().unwrap_err().contains("1 to 128"), "{wrong}");
    }
}

#[test]
fn by_itself_there_are_more_only_where_one_could_not_carry_it() {
    let auto: Channels = "auto".parse().unwrap();
    let (slow, fast) = (Some(ByteRate::new(125e6)), Some(ByteRate::new(12.5e9)));
    assert_eq!((auto.number_on(32, slow), auto.number_on(32, fast)), (1, 8));
    assert_eq!([1, 2, 4, 8, 16, 128].map(|cores| auto.number_on(cores, None)), [1, 1, 2, 4, 8, 8]);
}
