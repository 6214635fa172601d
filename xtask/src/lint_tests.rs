use super::*;

#[test]
fn a_crate_counts_as_double_only_in_two_versions() {
    let tree = "vm-memory v0.17.0\n\nvm-memory v0.18.0\n\nsyn v2.0.1 (proc-macro)\n\nsyn v2.0.1\n";
    let found = versions(tree);
    assert_eq!(found.len(), 1);
    assert_eq!(found["vm-memory"], ["v0.17.0", "v0.18.0"]);
}
