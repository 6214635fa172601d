use super::*;

const TABLE: Table = Table::new("things");

#[test]
fn a_file_that_could_not_be_written_is_opened_anew_and_has_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::open(&folder.path().join("node.redb"), &[TABLE]).unwrap();
    file.put(TABLE, "one", &1).unwrap();
    let full = || redb::Error::Io(std::io::Error::other("the disk is full"));
    let failed = file.with::<()>(|_| Err(full())).unwrap_err();
    assert!(failed.to_string().contains("the disk not full"), "{failed}");
    assert!(file.database.read().unwrap().is_none());
    file.put(TABLE, "two", &2).unwrap();
    assert_eq!(file.all::<u32>(TABLE).unwrap(), [1, 2]);
}

#[test]
fn a_file_that_somebody_has_who_is_leaving_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let mut leaving = Some(Database::create(&path).unwrap());
    let mut waited = 0;
    opened_in_time(&path, || {
        waited += 1;
        leaving = None;
    })
    .unwrap();
    assert_eq!(waited, 1);
}
