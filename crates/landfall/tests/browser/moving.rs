//! A guest that outruns its link, moved from the form: with the option it arrives, without it one is told that it will not.

use serde_json::json;

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::{look, look_every_way};

pub(crate) const STATE: &str = "[data-field=state]";

/// Opens the form by the way that a person takes there.
pub(crate) fn form(browser: &Browser, hosts: &Hosts) {
    browser.open(&hosts.a.login);
    browser.until("document.querySelector('a.button')");
    assert!(!browser.address().contains("token"), "the token stays in the address bar");
    browser.click("a.button");
    browser.until("document.querySelector('.prediction')");
}

pub(crate) fn field(name: &str, condition: &str) -> String {
    format!("document.querySelector('[data-field={name}]')?.innerText{condition}")
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn a_guest_that_outruns_its_link_arrives_from_the_form() {
    let (hosts, browser) = (Hosts::with_probe(), Browser::start());
    form(&browser, &hosts);
    assert_eq!(browser.look("return document.querySelector('[name=auto_converge]').checked"), true);
    look_every_way(&browser, "form");
    browser.click("button.main");

    // What is shown comes in while one looks: the page is the one that was loaded first.
    browser.until(&field("state", " === 'moving'"));
    browser.look("window.loadedFirst = true");
    browser.until(&field("throttle", ".endsWith('%')"));
    browser.until("document.querySelector('#charts svg')");
    assert_eq!(browser.look("return window.loadedFirst"), true);
    look_every_way(&browser, "live");

    browser.until("document.querySelector('[data-final]')");
    assert_eq!(browser.text(STATE), "arrived", "{}", browser.text("main"));
    assert!(!browser.text(".summary").is_empty());
    look_every_way(&browser, "arrived");
    browser.open(&hosts.b.login);
    browser.until("document.querySelector('a.button')");
    look_every_way(&browser, "overview");
    assert_eq!(hosts.vm_on(&hosts.b, "probe")["state"], "running");
    browser.open(&hosts.a.login);
    browser.click("nav a[href='/history']");
    browser.until("document.querySelector('tbody tr')");
    assert_eq!(browser.text(STATE), "arrived");
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn without_the_option_the_page_says_that_it_will_not_arrive_and_calls_it_off() {
    let (hosts, browser) = (Hosts::with_probe(), Browser::start());
    form(&browser, &hosts);
    // What is foretold follows what is ticked.
    browser.click("[name=auto_converge]");
    browser.until(
        "!document.querySelector('#check').hasAttribute('aria-busy')
         && /would not arrive/i.test(document.querySelector('.prediction')?.innerText)",
    );
    assert_eq!(
        browser.look("return document.querySelector('[name=auto_converge]').checked"),
        false
    );
    look(&browser, "form-without");
    browser.click("button.main");
    browser.until(&field("verdict", ".includes('does not arrive')"));
    look(&browser, "will-not-arrive");
    adjust(&browser);
    elsewhere(&browser, &hosts);

    // Whoever says no has changed nothing.
    browser.click("form[action$='/cancel'] button");
    assert!(browser.question().contains("The guest stays where it is"));
    browser.answer_question(false);
    browser.until(&field("state", " === 'moving'"));
    browser.click("form[action$='/cancel'] button");
    browser.answer_question(true);
    browser.until("document.querySelector('[data-final]')");
    assert_eq!(browser.text(STATE), "cancelled", "{}", browser.text("main"));
    look(&browser, "cancelled");
    assert_eq!(hosts.vm_on(&hosts.a, "probe")["state"], "running");

    // Another one switches over at once, and the history has both.
    hosts.post(&hosts.a, "vms/probe/migrations", &json!({ "target": "b", "policy": "swift" }));
    browser.click("nav a[href='/history']");
    browser.until("document.querySelectorAll('tbody tr').length === 2");
    browser.until("document.querySelector('tbody .badge.good')");
    look(&browser, "history");
}

/// The overview has what moves, and how it goes, while one looks.
fn elsewhere(browser: &Browser, hosts: &Hosts) {
    let page = browser.address();
    browser.click("nav a[href='/']");
    browser.until("document.querySelector('#moving tr[data-event]')");
    assert_ne!(browser.text("#moving [data-field=bandwidth]"), "–");
    look(browser, "overview-moving");
    let id = page.rsplit('/').next().unwrap();
    browser.open(&format!("{}/migrations/{id}", hosts.a.address));
    browser.until(&field("state", " === 'moving'"));
}

/// What it may cost is changed while it runs: first so that it cannot be read, then so that less leaves.
fn adjust(browser: &Browser) {
    let write = |field: &str, value: &str| {
        browser.click(".adjust summary");
        browser.look(&format!("document.getElementById('{field}').value = '{value}'"));
        browser.click(".adjust button");
    };
    write("max_downtime", "300");
    browser.until("/no unit/.test(document.querySelector('[role=alert]')?.innerText)");
    write("bandwidth", "20MB/s");
    browser.until("/at most 20MB/.test(document.querySelector('#charts')?.innerText)");
    browser.click(".adjust summary");
    browser.until(&field("bandwidth", ".replace(' MB/s', '') < 40"));
    look(browser, "adjusting");
    browser.click(".adjust summary");
}
