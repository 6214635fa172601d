//! A guest of which nobody knows who has it, and an operator who decides on its page.

use serde_json::json;

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::{look, look_every_way};
use crate::moving::{STATE, field};

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn who_looks_is_asked_what_becomes_of_a_guest_in_doubt_and_decides() {
    let (mut hosts, browser) = (Hosts::with_probe(), Browser::start());
    let slowly = json!({ "bandwidth_bytes_per_second": 1_000_000, "max_downtime_ms": 1 });
    let wanted = json!({ "target": "b", "settings": slowly });
    let begun = hosts.post(&hosts.a, "vms/probe/migrations", &wanted);
    browser.open(&hosts.a.login);
    let page = format!("{}/migrations/{}", hosts.a.address, begun["id"].as_str().unwrap());
    browser.open(&page);
    browser.until(&field("stage", " === 'first pass'"));

    hosts.lose_b_and_the_guest("probe");
    browser.until("document.querySelector('.doubt form')");
    assert_eq!(browser.text(STATE), "in doubt");
    look(&browser, "in-doubt");
    browser.click("nav a[href='/']");
    browser.click("a.button[href='/vms/probe/settle']");
    browser.until("document.querySelector('.doubt form')");
    look_every_way(&browser, "settle");

    browser.click("[name=decision][value=run]");
    browser.look("document.getElementById('note').value = 'b has burnt down'");
    browser.click("[type=checkbox]");
    browser.click(".doubt button");
    assert!(browser.question().contains("cannot be undone"));
    browser.answer_question(true);
    browser.until("/burnt down/.test(document.querySelector('.settlement')?.innerText)");
    look(&browser, "settled");
    assert_eq!(hosts.vm_on(&hosts.a, "probe")["state"], "stopped");
}
