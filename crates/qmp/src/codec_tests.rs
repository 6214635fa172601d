use proptest::prelude::*;
use serde_json::json;

use super::*;

fn messages(framer: &mut Framer) -> Vec<Result<Value, FrameError>> {
    std::iter::from_fn(|| framer.next_message()).collect()
}

fn read(text: &str) -> Vec<Result<Value, FrameError>> {
    let mut framer = Framer::new(1000);
    framer.push(text.as_bytes());
    messages(&mut framer)
}

#[test]
fn objects_may_follow_each_other_without_a_line_between_them() {
    assert_eq!(read(r#"{"a":1}{"b":"}"}"#), [Ok(json!({"a": 1})), Ok(json!({"b": "}"}))]);
}

#[test]
fn an_object_may_spread_over_lines() {
    assert_eq!(read("\r\n {\"a\":\n [1,\n 2]}\n"), [Ok(json!({"a": [1, 2]}))]);
}

#[test]
fn nothing_is_given_before_it_is_complete() {
    let mut framer = Framer::new(1000);
    framer.push(br#"{"a":"\"#);
    assert!(framer.is_partial());
    assert_eq!(framer.next_message(), None);
    framer.push(br#""}"}"#);
    assert_eq!(messages(&mut framer), [Ok(json!({"a": "\"}"}))]);
    assert!(!framer.is_partial());
}

#[test]
fn a_broken_message_does_not_take_the_next_one_with_it() {
    for broken in ["{\"a\":x}", "}", "quit\n", "{\"unclosed\n", "{\"deep\":[{\u{0}\"\n"] {
        let found = read(&format!("{broken}\n{{\"ok\":1}}"));
        assert!(matches!(found.first(), Some(Err(FrameError::Syntax(_)))), "{broken}: {found:?}");
        if !broken.contains("deep") {
            assert_eq!(found.last(), Some(&Ok(json!({"ok": 1}))), "{broken}");
        }
    }
}

#[test]
fn the_byte_that_is_in_no_text_starts_anew() {
    let mut framer = Framer::new(1000);
    framer.push(b"{\"half\": [\xff{\"ok\":1}");
    let found = messages(&mut framer);
    assert!(found[0].is_err());
    assert_eq!(found[1], Ok(json!({"ok": 1})));
}

#[test]
fn a_message_past_the_limit_ends_the_stream() {
    let mut framer = Framer::new(10);
    framer.push(br#"{"a":"0123456789"}{"b":1}"#);
    assert_eq!(messages(&mut framer), [Err(FrameError::TooLarge(10))]);
    framer.push(b"{}");
    assert_eq!(messages(&mut framer), []);
}

proptest! {
    #[test]
    fn what_was_encoded_comes_back_however_it_is_cut(
        texts in prop::collection::vec(".{0,40}", 1..8),
        cuts in prop::collection::vec(1usize..30, 1..40),
    ) {
        let sent: Vec<_> = texts.iter().map(|text| json!({"text": text, "list": [text, {}]})).collect();
        let bytes: Vec<u8> = sent.iter().flat_map(|message| encode(message).unwrap()).collect();
        let mut framer = Framer::new(10_000);
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            framer.push(head);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        let found: Result<Vec<_>, _> = messages(&mut framer).into_iter().collect();
        prop_assert_eq!(found.unwrap(), sent);
    }

    #[test]
    fn no_bytes_make_it_panic_or_hold_more_than_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let mut framer = Framer::new(64);
        framer.push(&bytes);
        prop_assert!(framer.partial.len() <= 64);
        prop_assert!(messages(&mut framer).len() <= bytes.len());
    }
}
