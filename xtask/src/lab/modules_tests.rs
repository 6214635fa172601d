use super::*;

fn modules(files: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    for (name, needs) in files {
        let bytes = format!("\x7fELF\0license=GPL\0depends={needs}\0name=x\0");
        fs::write(folder.path().join("deep").join(name), bytes).unwrap();
    }
    let modules = Modules::below(folder.path()).unwrap();
    (folder, modules)
}

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect()
}

#[test]
fn what_a_module_needs_comes_before_it_and_only_once() {
    let (_folder, modules) = modules(&[
        ("kvm-amd.ko", "kvm"),
        ("kvm.ko", "irq-bypass"),
        ("irq-bypass.ko", ""),
        ("notes.txt", ""),
    ]);
    let order = modules.with_needs(&["kvm_amd", "kvm"]).unwrap();
    assert_eq!(names(&order), ["irq-bypass", "kvm", "kvm-amd"]);
}

#[test]
fn a_module_that_is_not_there_is_named() {
    let (_folder, modules) = modules(&[("a.ko", "b")]);
    assert!(modules.with_needs(&["a"]).unwrap_err().contains("no module b"));
}
