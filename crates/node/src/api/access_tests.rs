use axum::http::{HeaderMap, HeaderValue, header};

use super::{Speaker, cookie_of, same_origin, shown};
use crate::tls::Caller;

#[test]
fn a_token_is_shown_by_a_header_or_by_a_cookie() {
    let headers =
        |name, value: &str| HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
    assert_eq!(shown(&headers(header::AUTHORIZATION, "Bearer x"), "token"), Some("x"));
    assert_eq!(shown(&headers(header::COOKIE, "a=b; token=y"), "token"), Some("y"));
    assert_eq!(shown(&headers(header::COOKIE, "a=b; token2=y"), "token"), None);
}

#[test]
fn nodes_at_one_address_have_a_cookie_each() {
    let cookies = "landfall_token_b=y; landfall_token_ab=z; landfall_token_a=x";
    let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookies))]);
    for (node, token) in [("a", Some("x")), ("b", Some("y")), ("ab", Some("z")), ("c", None)] {
        assert_eq!(shown(&headers, &cookie_of(&node.parse().unwrap())), token, "{node}");
    }
}

#[test]
fn a_page_of_another_site_is_known_by_its_origin() {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:7101"));
    assert!(same_origin(&headers));
    headers.insert(header::ORIGIN, HeaderValue::from_static("http://127.0.0.1:7101"));
    assert!(same_origin(&headers));
    headers.insert(header::ORIGIN, HeaderValue::from_static("http://127.0.0.1:7102"));
    assert!(!same_origin(&headers));
}

#[test]
fn a_node_speaks_for_itself_and_of_its_own_migrations() {
    let must_be = |names: &[&str], from: &str, migration: &str| {
        let speaker = Speaker::Certified(Caller::called(names));
        let spoken = speaker.must_be(&from.parse().unwrap(), &migration.parse().unwrap());
        spoken.map_err(|problem| problem.detail)
    };
    assert_eq!(must_be(&["b", "10.0.0.7"], "b", "b-3"), Ok(()));
    let other = must_be(&["b", "10.0.0.7"], "a", "a-3").unwrap_err();
    assert_eq!(other, "this certificate is for b, 10.0.0.7, and does not speak for 'a'");
    let of_another = must_be(&["b"], "b", "a-3").unwrap_err();
    assert_eq!(of_another, "this certificate is for b, and 'a-3' did not begin on 'b'");
}
