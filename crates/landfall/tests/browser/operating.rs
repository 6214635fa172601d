//! What operators do beside migrating one guest: policies of their own, and a host that is emptied.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::hosts::Hosts;
use crate::looks::look;

/// A guest that does little.
fn light(name: &str) -> Value {
    let probe = json!({ "workload": "sweep", "working_set": "16MiB", "rate": "10MB/s" });
    json!({ "name": name, "native": { "memory": "64MiB", "probe": probe } })
}

/// Writes into a field what a person would.
fn write(browser: &Browser, field: &str, value: &str) {
    browser.look(&format!("document.getElementById('{field}').value = {}", json!(value)));
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn a_policy_of_ones_own_is_kept_given_to_a_machine_and_not_taken_from_it() {
    let (hosts, browser) = (Hosts::start(), Browser::start());
    hosts.add(&hosts.a, &light("web1"));
    browser.open(&hosts.a.login);
    browser.click("nav a[href='/policies']");
    browser.until("document.querySelector('#sentence')");
    write(&browser, "name", "night");
    write(&browser, "sentence", "At night nobody minds a second of downtime.");
    write(&browser, "max_downtime", "1");
    browser.click("button.main");
    browser.until("/no unit/.test(document.querySelector('[role=alert]')?.innerText)");
    assert_eq!(browser.look("return document.getElementById('name').value"), "night");
    write(&browser, "max_downtime", "1s");
    browser.click("button.main");
    browser.until("document.querySelector('form[action=\"/policies/night/remove\"]')");
    browser.look("document.querySelector('[name=policy]').value = 'night'");
    browser.click("form[action='/vms/web1/policy'] button");
    browser.until(
        "document.querySelector('[name=policy] option[value=night]')?.hasAttribute('selected')",
    );
    look(&browser, "policies");
    assert_eq!(hosts.vm_on(&hosts.a, "web1")["spec"]["policy"], "night");

    browser.click("form[action='/policies/night/remove'] button");
    assert!(browser.question().contains("night"));
    browser.answer_question(true);
    browser
        .until("/give it another first/.test(document.querySelector('[role=alert]')?.innerText)");
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn a_host_is_emptied_says_what_stayed_and_takes_guests_again() {
    let (hosts, browser) = (Hosts::start(), Browser::start());
    for name in ["web1", "web2", "web3"] {
        hosts.add(&hosts.a, &light(name));
    }
    hosts.add(&hosts.b, &light("web3"));
    browser.open(&hosts.a.login);
    browser.click("nav a[href='/drain']");
    browser.until("document.querySelector('form[action=\"/drain\"] button')");
    look(&browser, "drain-before");
    browser.click("form[action='/drain'] button");
    assert!(browser.question().contains("3 machines leave"));
    browser.answer_question(true);

    // It is told while one looks.
    browser.until("document.querySelector('#drain .badge.plain')");
    browser.look("window.loadedFirst = true");
    browser.until("document.querySelector('#drain [role=status] .badge.bad')");
    assert_eq!(browser.look("return window.loadedFirst"), true);
    let said = browser.text("#drain");
    assert!(said.contains("2 of 3 left") && said.contains("rename one of the two"), "{said}");
    look(&browser, "drain");
    for name in ["web1", "web2"] {
        assert_eq!(hosts.vm_on(&hosts.b, name)["state"], "running");
    }
    browser.click("form[action='/drain/end'] button");
    browser.until("document.querySelector('form[action=\"/drain\"] button.main')");
}
