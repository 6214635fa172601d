use super::*;

#[test]
fn only_python_programs_are_run() {
    let programs = test_programs(&Workspace::of_this_program().path(PROGRAMS));
    assert!(!programs.is_empty());
    assert!(
        programs.iter().all(|path| path.extension().is_some_and(|extension| extension == "py"))
    );
}

#[test]
fn a_folder_that_is_not_there_holds_no_programs() {
    assert!(test_programs(Path::new("there/is/no/such/folder")).is_empty());
}
