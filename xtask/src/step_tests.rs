use super::*;

#[test]
fn the_summary_names_every_step_and_counts_what_did_not_pass() {
    let second = Duration::from_secs(1);
    let results = [
        ("format", Outcome::Passed, second),
        ("tests", Outcome::Failed("two tests failed\nand more".to_owned()), second * 61),
        ("fuzz", Outcome::Skipped("there is no nightly toolchain".to_owned()), second),
    ];
    assert_eq!(
        summary(&results),
        "format     passed      1.0 s\n\
         tests      FAILED     61.0 s  two tests failed\n\
         fuzz       skipped     1.0 s  there is no nightly toolchain\n\
         3 steps, of which 1 failed and 1 were skipped"
    );
}

#[test]
fn every_step_has_a_name_of_its_own() {
    for (index, step) in STEPS.iter().enumerate() {
        assert!(STEPS[index + 1..].iter().all(|other| other.name != step.name), "{}", step.name);
    }
}
