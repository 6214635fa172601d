use super::*;

fn image(bytes: u64) -> (tempfile::TempDir, DiskChoice) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    File::create(&path).unwrap().set_len(bytes).unwrap();
    (folder, DiskChoice { path, read_only: false })
}

#[test]
fn a_disk_is_read_back_as_it_is_written() {
    for text in ["/images/a.raw", "/images/a,b.raw,readonly"] {
        assert_eq!(text.parse::<DiskChoice>().unwrap().to_string(), text);
    }
    for text in ["", ",readonly", "a,writable"] {
        assert!(text.parse::<DiskChoice>().unwrap_err().to_string().contains("PATH,readonly"));
    }
}

#[test]
fn a_disk_that_one_machine_writes_to_is_no_other_machines() {
    let (_folder, choice) = image(4096);
    let (first, second) = (Disk::open(&choice).unwrap(), Disk::open(&choice).unwrap());
    let reader = Disk::open(&DiskChoice { read_only: true, ..choice.clone() }).unwrap();
    first.lock().unwrap();
    first.lock().unwrap();
    assert!(matches!(second.lock(), Err(DiskError::InUse(_))));
    assert!(matches!(reader.lock(), Err(DiskError::InUse(_))));
    first.unlock();
    second.lock().unwrap();
    assert!(matches!(first.lock(), Err(DiskError::InUse(_))));
    drop(second);
    let other = Disk::open(&DiskChoice { read_only: true, ..choice }).unwrap();
    reader.lock().unwrap();
    other.lock().unwrap();
    assert!(matches!(first.lock(), Err(DiskError::InUse(_))));
}

#[test]
fn half_a_sector_is_no_disk() {
    for bytes in [0, 700] {
        let (_folder, choice) = image(bytes);
        assert!(matches!(Disk::open(&choice), Err(DiskError::Size(_, size)) if size == bytes));
    }
}
