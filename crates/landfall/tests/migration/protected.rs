//! A guest that moves where others could look on.

use std::path::{Path, PathBuf};

use landfall_migrate::report::Outcome;
use landfall_qmp::{Command, ParametersUpdate};

use crate::machine::{Machine, WIDE, landfall};
use crate::pair::{BUSY, Pair, assert_arrived, assert_completed, assert_ended};

fn cert(folder: &Path, arguments: &[&str]) {
    let made = landfall().arg("cert").args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Identities of two hosts of one authority, and one of another.
fn identities(pair: &Pair) -> [PathBuf; 3] {
    let folder = pair.socket("identities");
    std::fs::create_dir(&folder).unwrap();
    for (authority, host, name) in
        [("ours", "a", "127.0.0.1"), ("ours", "b", "127.0.0.1"), ("theirs", "c", "127.0.0.1")]
    {
        if !folder.join(authority).exists() {
            cert(&folder, &["ca", authority]);
        }
        cert(&folder, &["node", name, "--ca", authority, "--out", host]);
    }
    ["a", "b", "c"].map(|host| folder.join(host))
}

fn show_as(source: &mut Machine, identity: &Path) {
    let tls_creds = Some(identity.display().to_string());
    let update = ParametersUpdate { tls_creds, ..ParametersUpdate::default() };
    source.execute(&Command::MigrateSetParameters(update));
}

#[test]
fn a_guest_goes_to_a_host_of_its_authority_and_from_no_other() {
    let mut pair = Pair::of(BUSY);
    let [ours, theirs, stranger] = identities(&pair);
    let there = ["--incoming", "tls:127.0.0.1:0", "--tls-identity", theirs.to_str().unwrap()];
    let mut destination = pair.machine("destination", &there);
    let uri = destination.waits_at();
    show_as(&mut pair.source, &stranger);
    pair.source.migrate(uri.clone(), &WIDE);
    assert_ended(&pair.source.report(), Outcome::Failed, "another authority");
    pair.source.assert_runs();
    show_as(&mut pair.source, &ours);
    pair.source.migrate(uri, &WIDE);
    assert_completed(&pair.source.report());
    pair.source.assert_stands_still();
    assert_arrived(&mut destination);
}
