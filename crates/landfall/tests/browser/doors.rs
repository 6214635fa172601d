//! Who may come in, what is said to those who may only look, and what is said where there is nothing.

use serde_json::json;

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::look;

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn who_has_no_token_is_asked_for_one_and_who_may_only_look_is_told_so() {
    let (hosts, browser) = (Hosts::with_probe(), Browser::start());
    browser.open(&format!("{}/vms/probe/migrate", hosts.a.address));
    browser.until("document.querySelector('#token')");
    assert_eq!(browser.text("main table"), "");
    look(&browser, "login");
    browser.look("document.getElementById('token').value = '0123'");
    browser.click("button.main");
    browser.until("/does not open/.test(document.querySelector('[role=alert]')?.innerText)");
    look(&browser, "login-refused");

    let wanted = json!({ "name": "dashboard", "scope": "read" });
    let drawn = hosts.post(&hosts.a, "tokens", &wanted);
    browser.open(&format!("{}/login?token={}", hosts.a.address, drawn["secret"].as_str().unwrap()));
    browser.click("a.button");
    browser.until("document.querySelector('.prediction')");
    assert_eq!(browser.look("return document.querySelector('button.main').disabled"), true);
    assert!(browser.text(".note").contains("scope operate"), "{}", browser.text("main"));
    look(&browser, "form-read");
    // Nor does the node take it from a page that was drawn for somebody else.
    browser.look("document.querySelector('button.main').disabled = false");
    browser.click("button.main");
    browser
        .until("/this token's scope is/i.test(document.querySelector('[role=alert]')?.innerText)");
    look(&browser, "refused");
    assert_eq!(hosts.vm_on(&hosts.a, "probe")["migration"], json!(null));
    for (page, told) in [("policies", "scope admin"), ("drain", "scope operate")] {
        browser.open(&format!("{}/{page}", hosts.a.address));
        browser.until("document.querySelector('.note')");
        assert!(browser.text(".note").contains(told), "{}", browser.text("main"));
        look(&browser, &format!("{page}-read"));
    }
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn what_there_is_not_is_said_with_a_way_back() {
    let (hosts, browser) = (Hosts::start(), Browser::start());
    browser.open(&hosts.a.login);
    browser.until("document.querySelector('pre')");
    look(&browser, "overview-empty");
    for (page, told) in [
        ("nowhere", "There is no page at /nowhere"),
        ("vms/nobody/migrate", "There is no machine 'nobody'"),
        ("migrations/a-7", "There is no migration 'a-7'"),
    ] {
        browser.open(&format!("{}/{page}", hosts.a.address));
        browser.until("document.querySelector('[role=alert]')");
        assert!(browser.text("[role=alert]").contains(told), "{}", browser.text("main"));
        look(&browser, "nothing-here");
    }
    browser.click("main a[href='/']");
    browser.until("document.querySelector('pre')");
}
