use super::peer;

#[test]
fn another_node_is_named_with_its_address() {
    for address in ["http://127.0.0.1:7102", "https://host-b:7101"] {
        let (name, url) = peer(&format!("b={address}")).unwrap();
        assert_eq!((name.as_str(), url.as_str()), ("b", address));
    }
}

#[test]
fn what_is_no_node_is_told_how_to_write_one() {
    for text in ["b", "b=127.0.0.1:7102", "=http://x", "B=http://x"] {
        let error = peer(text).unwrap_err();
        assert!(error.contains("write it as") || error.contains("is no name"), "{error}");
    }
}
