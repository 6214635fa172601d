use landfall_node::process::ProcessId;

use super::*;

fn present(names: &[&str]) -> Vec<Presence> {
    let presence = |(port, name): (usize, &&str)| Presence {
        name: name.parse().unwrap(),
        address: format!("http://127.0.0.1:{}", 7101 + port),
        token: format!("/{name}/token").into(),
        process: ProcessId { pid: 1, start_time: 1 },
    };
    names.iter().enumerate().map(presence).collect()
}

fn find(node: Option<&str>, token: Option<&str>, names: &[&str]) -> Result<String, HostError> {
    let via = Via { node: node.map(str::to_owned), token_file: token.map(PathBuf::from) };
    let (address, token) = via.find(|| Ok(present(names)))?;
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
