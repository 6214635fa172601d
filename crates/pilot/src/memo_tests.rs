use serde_json::json;

use super::*;

#[test]
fn what_is_kept_is_there_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let memo = Memo::at(folder.path().join("made/when/needed.json"));
    assert_eq!(memo.read(), None);
    let set = json!({ "max-cpu-throttle": 95 }).as_object().unwrap().clone();
    let changed = Changed { set, ..Changed::default() };
    memo.write(&changed);
    assert_eq!(memo.read(), Some(changed));
    memo.forget();
    assert_eq!(memo.read(), None);
}

#[test]
fn what_is_not_understood_is_as_good_as_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memo.json");
    fs::write(&path, "{").unwrap();
    assert_eq!(Memo::at(path).read(), None);
}

#[test]
fn where_nothing_can_be_kept_nothing_is_and_nobody_fails() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    for memo in [Memo::at(in_the_way.join("memo.json")), Memo::none()] {
        memo.write(&Changed::default());
        assert_eq!(memo.read(), None);
        memo.forget();
    }
}
