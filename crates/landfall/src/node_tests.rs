use std::path::Path;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    node: NodeArgs,
}

fn told(file: &str, flags: &[&str]) -> Result<Daemon, NodeError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.toml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let line = [&["landfall", "--config", path][..], flags].concat();
    daemon(Line::try_parse_from(line).unwrap().node)
}

#[test]
fn what_a_flag_says_counts_more_than_what_the_file_says() {
    let file = "name = 'a'\nlisten = '127.0.0.1:7105'\nmax-incoming = 5\ninsecure = true\n";
    let daemon = told(file, &["--max-incoming", "3", "--identity", "/id"]).unwrap();
    assert_eq!((daemon.name.as_str(), daemon.max_incoming, daemon.max_outgoing), ("a", 3, 2));
    assert_eq!(daemon.listen.to_string(), "127.0.0.1:7105");
    let Doors::Identity(folder) = daemon.doors else { panic!("{:?}", daemon.doors) };
    assert_eq!(folder, Path::new("/id"));
}

#[test]
fn what_neither_says_is_asked_for() {
    assert!(matches!(told("insecure = true", &[]), Err(NodeError::NoName)));
    assert!(matches!(told("name = 'a'", &[]), Err(NodeError::NoDoors)));
}

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
