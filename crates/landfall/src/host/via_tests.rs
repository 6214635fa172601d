use landfall_node::process::ProcessId;

use super::*;

fn present(names: &[&str]) -> Vec<Presence> {
    let presence = |(port, name): (usize, &&str)| Presence {
        name: name.parse().unwrap(),
        address: format!("http://127.0.0.1:{}", 7101 + port),
        token: format!("/{name}/token").into(),
        authority: None,
        socket: Some(format!("/{name}/api.sock").into()),
        process: ProcessId { pid: 1, start_time: 1 },
    };
    names.iter().enumerate().map(presence).collect()
}

fn find(node: Option<&str>, token: Option<&str>, names: &[&str]) -> Result<String, HostError> {
    let (node, token_file) = (node.map(str::to_owned), token.map(PathBuf::from));
    let via = Via { node, token_file, authority: None };
    let by_token = via.token_file.is_some();
    let Found { address, token, trust, socket } = via.find(|| Ok(present(names)))?;
    assert_eq!((trust, socket.is_none()), (None, by_token));
    Ok(format!("{address} {}", token.display()))
}

#[test]
fn the_only_node_is_meant_where_none_is_named() {
    assert_eq!(find(None, None, &["a"]).unwrap(), "http://127.0.0.1:7101 /a/token");
    assert!(matches!(find(None, None, &[]), Err(HostError::None)));
    assert!(matches!(find(None, None, &["a", "b"]), Err(HostError::Several(_))));
}

#[test]
fn a_node_of_this_machine_is_named_by_its_name_or_its_address() {
    let b = "http://127.0.0.1:7102 /b/token";
    for named in ["b", "http://127.0.0.1:7102", "http://127.0.0.1:7102/"] {
        assert_eq!(find(Some(named), None, &["a", "b"]).unwrap(), b);
    }
    assert!(matches!(find(Some("b"), None, &["b", "b"]), Err(HostError::Several(_))));
    let error = find(Some("c"), None, &["a", "b"]).unwrap_err();
    assert!(error.to_string().contains("there is a (http"), "{error}");
}

#[test]
fn a_node_elsewhere_is_named_with_the_file_that_opens_it() {
    let there = "http://10.0.0.7:7101";
    assert_eq!(find(Some(there), Some("t"), &[]).unwrap(), format!("{there} t"));
    assert!(matches!(find(Some(there), None, &["a"]), Err(HostError::NoToken(_))));
}

#[test]
fn a_node_that_speaks_tls_is_known_by_its_authority() {
    let mut here = present(&["a"]);
    here[0].authority = Some("/a/ca.pem".into());
    let found = Via::default().find(|| Ok(here)).unwrap();
    let name = Some("a".parse().unwrap());
    assert_eq!(found.trust, Some(Trust { authority: "/a/ca.pem".into(), name }));

    let there = Via {
        node: Some("https://host-b:7101".to_owned()),
        token_file: Some("t".into()),
        authority: None,
    };
    let unknown = there.find(|| Ok(Vec::new()));
    assert!(matches!(unknown, Err(HostError::NoAuthority(_))), "{unknown:?}");
    let there = Via { authority: Some("ca.pem".into()), ..there };
    let found = there.find(|| Ok(Vec::new())).unwrap();
    assert_eq!(found.trust, Some(Trust { authority: "ca.pem".into(), name: None }));
}
