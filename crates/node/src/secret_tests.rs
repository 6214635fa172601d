use super::*;

#[test]
fn a_key_is_drawn_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/token");
    let drawn = kept(&path).unwrap();
    assert_eq!(drawn.len(), 48);
    assert_eq!(kept(&path).unwrap(), drawn);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn who_comes_at_the_same_time_gets_the_same_whole_key() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let together = std::sync::Barrier::new(4);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let come = || {
                together.wait();
                kept(&path).unwrap()
            };
            let coming: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
            coming.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.len() == 48 && *key == keys[0]), "{keys:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}

#[test]
fn only_the_whole_key_opens() {
    assert!(same("abc", "abc"));
    for wrong in ["", "ab", "abcd", "abd"] {
        assert!(!same(wrong, "abc"), "{wrong}");
    }
    assert!(!same("", ""), "no key opens nothing");
}

#[test]
fn a_secret_is_known_by_its_trace() {
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(trace("abc"), of_abc);
}
