//! The same without JavaScript: forms, and a page that says how old it is.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::picture;
use crate::moving::STATE;

const PATIENCE: Duration = Duration::from_secs(120);

/// Looks again and again until something is so: what would tell of it does not run.
fn eventually(browser: &Browser, condition: &str) {
    let began = Instant::now();
    while browser.look(&format!("return !!({condition})")) != true {
        assert!(began.elapsed() < PATIENCE, "{condition}: {}", browser.text("body"));
    }
}

/// Presses what sends a form, and waits for the page that answers: who goes elsewhere before has pressed nothing.
fn press(browser: &Browser, selector: &str) {
    browser.look("return document.documentElement.dataset.before = 'asked'");
    browser.click(selector);
    eventually(
        browser,
        "document.readyState === 'complete' && !('before' in document.documentElement.dataset)",
    );
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn without_javascript_a_guest_is_checked_moved_and_called_off() {
    let (hosts, browser) = (Hosts::with_probe(), Browser::start());
    browser.chromium("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.open(&hosts.a.login);
    browser.click("a.button");
    assert!(browser.text("#check").contains("Press “Check”"), "{}", browser.text("main"));
    browser.click("button[data-check]");
    eventually(
        &browser,
        "/without auto-converge/.test(document.querySelector('.prediction')?.innerText)",
    );
    browser.click("[name=policy][value=gentle]");
    browser.click("button[data-check]");
    eventually(&browser, "document.getElementById('max_throttle')?.value === '50%'");
    picture(&browser, "form-no-js");
    browser.click("[name=auto_converge]");
    browser.click("button.main");
    eventually(&browser, "/look again/.test(document.querySelector('.live')?.innerText)");
    let began = Instant::now();
    while browser.text("[data-field=verdict]").is_empty() {
        assert!(began.elapsed() < PATIENCE, "{}", browser.text("main"));
        assert_ne!(browser.text(STATE), "failed", "{}", browser.text("main"));
        browser.click("a[href^='/migrations/']");
    }
    picture(&browser, "live-no-js");
    press(&browser, "form[action$='/cancel'] button");
    let began = Instant::now();
    while browser.text(STATE) != "cancelled" {
        assert!(began.elapsed() < PATIENCE, "{}", browser.text("main"));
        browser.open(&browser.address());
    }
    assert_eq!(hosts.vm_on(&hosts.a, "probe")["state"], "running");
}
