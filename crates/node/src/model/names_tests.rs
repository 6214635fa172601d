use super::{MigrationId, NodeName, VmName};

#[test]
fn names_of_the_usual_kinds_are_taken() {
    for name in ["web1", "a", "10.0.0.1", "db-main_2"] {
        assert_eq!(name.parse::<VmName>().map(String::from).as_deref(), Ok(name));
    }
}

#[test]
fn what_could_leave_its_folder_or_be_taken_for_a_flag_is_no_name() {
    for name in ["", "../a", "a/b", "-a", ".a", "A", "a b", "ä", &"a".repeat(41)] {
        assert!(name.parse::<NodeName>().is_err(), "{name}");
    }
}

#[test]
fn a_migration_began_on_the_node_that_its_name_begins_with() {
    let may = |id: &str, node: &str| {
        id.parse::<MigrationId>().unwrap().may_begin_on(&node.parse().unwrap())
    };
    assert!(may("a-17", "a") && may("a-1-17", "a-1") && may("17", "a"));
    assert!(!may("a-17", "b") && !may("a-1-17", "a") && !may("a-17", "a-17"));
}

#[test]
fn a_name_is_checked_on_its_way_out_of_json_too() {
    assert!(serde_json::from_str::<MigrationId>("\"a-17\"").is_ok());
    assert!(serde_json::from_str::<MigrationId>("\"a/17\"").is_err());
}
