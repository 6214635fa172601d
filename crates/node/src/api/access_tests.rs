use axum::http::{HeaderMap, HeaderValue, header};

use super::{cookie_of, same_origin, shown};

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
