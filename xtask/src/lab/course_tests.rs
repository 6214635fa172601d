use super::*;

fn heard(
    lines: &[(usize, &str)],
    down: Option<usize>,
) -> (Result<Result<(), String>, Trouble>, String) {
    let (sender, news) = channel();
    for (index, line) in lines {
        sender.send(News::Line(*index, (*line).to_owned())).unwrap();
    }
    if let Some(index) = down {
        sender.send(News::Down(index)).unwrap();
    }
    let mut console = Vec::new();
    let heard = hear("trial", &news, &mut console, Duration::from_millis(50));
    drop(sender);
    (heard, String::from_utf8(console).unwrap())
}

#[test]
fn the_first_machine_gives_the_verdict_and_is_told_when_both_are_ready() {
    let both = heard(&[(1, READY), (0, READY), (0, FINISHED)], Some(0));
    assert_eq!(both, (Ok(Ok(())), "go\n".to_owned()));
    assert_eq!(heard(&[(1, READY), (0, FINISHED)], Some(0)), (Ok(Ok(())), String::new()));
    let failed = "lab: FAILED: work: no answer";
    let (verdict, console) = heard(&[(0, failed)], Some(0));
    assert_eq!((verdict, console), (Ok(Err("work: no answer".to_owned())), String::new()));
    // What the second one prints is no verdict.
    let (verdict, _) = heard(&[(1, FINISHED)], Some(0));
    assert!(verdict.unwrap().unwrap_err().contains("went down before"));
    assert!(matches!(heard(&[], Some(1)).0, Err(Trouble::Failed(why)) if why.contains("second")));
}

#[test]
fn machines_that_stand_still_are_silent_and_their_last_lines_are_told() {
    let (ended, _) = heard(&[(0, "lab: migration 3"), (1, "something")], None);
    let Err(Trouble::Silent(what)) = ended else { panic!("{ended:?}") };
    assert!(what.ends_with("trial: lab: migration 3\n  trial: something"), "{what}");
}
