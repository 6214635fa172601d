//! Nodes that show each other who they are.

use std::path::Path;
use std::time::Duration;

use landfall_identity::{Authority, Identity, Request, trusting};
use landfall_node::trust::client;
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::daemon::Hosts;
use crate::monitor::Ended;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const IDLE: &str = "workload = 'read-only'\nworking_set = '16MiB'";

/// One who shows the certificate in that folder.
fn bearer(folder: &Path) -> Client {
    client(Some(Identity::load(folder).unwrap().client_config())).build().unwrap()
}

/// What becomes of a request.
fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().unwrap();
    (response.status(), response.json().unwrap_or_default())
}

/// What one node asks another, in the name of `from`.
fn question(from: &str, migration: &str) -> Value {
    json!({ "vm": "web1", "migration": migration, "from": from, "epoch": 2 })
}

#[test]
fn guests_go_over_tls_between_nodes_that_have_certificates() {
    let hosts = Hosts::certified();
    hosts.guest("a", "web1", IDLE);
    let check = hosts.run("a", "migrate web1 b --check");
    assert_eq!(check.code, Some(0), "{check:?}");
    let moved = hosts.run("a", "migrate web1 b");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    let there = hosts.json("b", "vm show web1");
    assert_eq!(there["state"], "running");
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", there["pid"])).unwrap();
    assert!(command.contains("--incoming=tls:"), "{command}");
    assert_eq!(hosts.run("b", "migrate web1 a").code, Some(0));
}

#[test]
fn a_stranger_without_a_certificate_or_a_token_can_do_nothing() {
    let hosts = Hosts::certified();
    hosts.guest("a", "web1", IDLE);
    let url = hosts.url("a");
    let at = |path: &str| format!("{url}/api/v1/{path}");
    let ca = hosts.path().join("ca/ca.pem");
    let nobody = client(Some(trusting(&ca, None).unwrap())).build().unwrap();
    let stop =
        |who: &Client| answer(who.post(at("vms/web1/stop")).json(&json!({ "force": true }))).0;
    let verdict = |who: &Client| answer(who.post(at("peer/verdict")).json(&question("b", "b-1"))).0;

    // In the open nothing is said but how to ask, and nothing at all to one who shows the certificate of another authority.
    let plain = client(None).build().unwrap();
    let token = std::fs::read_to_string(hosts.data("a").join("token")).unwrap();
    let opened = plain.get(at("vms").replace("https", "http")).bearer_auth(token.trim());
    let (status, problem) = answer(opened);
    let told = "this node speaks TLS, and was asked in the open; write https://";
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().starts_with(told), "{problem}");
    let others = Authority::create(&hosts.path().join("others"), "others", YEAR).unwrap();
    let request = Request { name: "b".to_owned(), addresses: Vec::new(), valid: YEAR };
    let forged = hosts.path().join("forged");
    others.issue(&request, &forged).unwrap();
    std::fs::copy(&ca, forged.join("ca.pem")).unwrap();
    assert!(bearer(&forged).post(at("peer/verdict")).json(&question("b", "b-1")).send().is_err());

    assert_eq!(stop(&nobody), StatusCode::UNAUTHORIZED);
    assert_eq!(verdict(&nobody), StatusCode::UNAUTHORIZED);
    // A token does not make a node, and a certificate no operator.
    let asked = nobody.post(at("peer/verdict")).bearer_auth(token.trim());
    assert_eq!(answer(asked.json(&question("b", "b-1"))).0, StatusCode::UNAUTHORIZED);
    let b = bearer(&hosts.path().join("identity-b"));
    assert_eq!(stop(&b), StatusCode::UNAUTHORIZED);
    assert_eq!(verdict(&b), StatusCode::OK);
    // A host of the same authority that node a was not told of.
    let c = bearer(&hosts.certify("c"));
    assert_eq!(verdict(&c), StatusCode::UNAUTHORIZED);
    assert_eq!(hosts.json("a", "vm show web1")["state"], "running");
}

#[test]
fn a_node_is_who_its_certificate_says_and_not_who_it_says() {
    let mut hosts = Hosts::certified();
    let b = bearer(&hosts.path().join("identity-b"));
    for (from, migration, why) in
        [("c", "c-1", "does not speak for 'c'"), ("b", "c-1", "did not begin on 'b'")]
    {
        for path in ["peer/verdict", "peer/refuse?committed=false"] {
            let asked = b.post(format!("{}/api/v1/{path}", hosts.url("a")));
            let (status, problem) = answer(asked.json(&question(from, migration)));
            assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
        }
    }

    // Whoever answers in the place of a node must have its certificate.
    hosts.kill("a");
    let impostor = format!("c={}", hosts.url("b"));
    hosts.daemon("a", &["--peer", &impostor]);
    let nodes = hosts.json("a", "node list");
    let trouble = nodes[2]["trouble"].as_str().unwrap();
    assert!(trouble.contains("not for c, but for b"), "{trouble}");
}

#[test]
fn a_node_says_what_is_wrong_with_how_it_was_to_be_opened() {
    let hosts = Hosts::certified();
    for (flags, why) in [
        ("--listen 127.0.0.1:0", "landfall cert"),
        ("--listen 127.0.0.1:0 --identity identity-a", "not for c"),
        ("--listen 127.0.0.1:0 --identity nowhere", "nowhere/cert.pem cannot be read"),
        ("--listen 127.0.0.1:0 --insecure --peer b=https://b:1", "write http://"),
        ("--listen 0.0.0.0:0 --insecure", "for this machine alone"),
    ] {
        let mut process = hosts.landfall();
        process.args(["node", "--name", "c", "--data", "c"]).args(flags.split(' '));
        let ended = Ended::from(process.current_dir(hosts.path()).output().unwrap());
        assert_eq!(ended.code, Some(1), "{flags}: {ended:?}");
        assert!(ended.stderr.contains(why), "{flags}: {ended:?}");
    }
    hosts.certify("c");
    let words = "node --name c --data c --listen 0.0.0.0:0 --identity identity-c";
    let mut process = hosts.landfall();
    process.args(words.split(' ')).current_dir(hosts.path());
    let ended = Ended::from(process.output().unwrap());
    assert!(ended.stderr.contains("--reached-at"), "{ended:?}");
}

#[test]
fn who_speaks_otherwise_than_the_node_is_told_what_to_write() {
    let list = |hosts: &Hosts, url: &str| {
        let token = hosts.data("a").join("token").display().to_string();
        let ca = hosts.path().join("ca/ca.pem").display().to_string();
        let words = ["vm", "list", "--node", url, "--token-file", &token, "--ca", &ca];
        Ended::from(hosts.landfall().args(words).output().unwrap())
    };
    let certified = Hosts::certified();
    let in_the_open = list(&certified, &certified.url("a").replace("https", "http"));
    assert!(in_the_open.stderr.contains("this node speaks TLS"), "{in_the_open:?}");
    assert!(in_the_open.stderr.contains("write https://127."), "{in_the_open:?}");

    let plain = Hosts::start();
    std::fs::create_dir(plain.path().join("ca")).unwrap();
    std::fs::copy(certified.path().join("ca/ca.pem"), plain.path().join("ca/ca.pem")).unwrap();
    let over_tls = list(&plain, &plain.url("a").replace("http", "https"));
    assert!(over_tls.stderr.contains("does not speak TLS"), "{over_tls:?}");
    assert!(over_tls.stderr.contains("--insecure, write http://"), "{over_tls:?}");
}
