//! How long it takes until what a node tells is seen in a page: told, and not asserted, since a busy machine is slow.

use std::collections::BTreeMap;
use std::time::Duration;

use landfall_node::client::Client;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::hosts::{Host, Hosts};
use crate::moving::{STATE, form};

/// Notes in every page from now on when it shows what. Each element that is kept true says by which event it was written last; a
/// page that shows an end was loaded for it.
const NOTE: &str = r#"
    const noted = JSON.parse(sessionStorage.getItem("noted") ?? "[]");
    const seen = {};
    const note = (what, event) => {
        if (seen[what] === event) return;
        seen[what] = event;
        noted.push([what, event, performance.timeOrigin + performance.now()]);
        sessionStorage.setItem("noted", JSON.stringify(noted));
    };
    new MutationObserver(() => {
        const live = document.querySelector("section[data-migration]");
        const charts = document.getElementById("charts");
        if (live?.dataset.event) note("figures", live.dataset.event);
        if (charts?.dataset.event) note("charts", charts.dataset.event);
        if (live?.hasAttribute("data-final")) note("the end", "");
    }).observe(document, { subtree: true, childList: true, attributes: true });
"#;

/// Has the browser note what its pages show.
fn note(browser: &Browser) {
    browser.chromium("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": NOTE }));
}

/// Tells how long each event of the migration took from the node's word to the page: the figures, the charts, and its end.
fn tell(browser: &Browser, host: &Host, migration: &str) {
    let told = events(host, migration);
    let end = told.values().filter(|(_, over)| *over).map(|(at, _)| *at).min().unwrap();
    let noted = browser.look("return JSON.parse(sessionStorage.getItem('noted'))");
    let mut delays: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for one in noted.as_array().unwrap() {
        let (what, seen) = (one[0].as_str().unwrap(), one[2].as_f64().unwrap());
        let event = one[1].as_str().unwrap();
        let at = if event.is_empty() { end } else { told[&event.parse::<u64>().unwrap()].0 };
        // The node's clock is read in whole milliseconds.
        delays.entry(what.to_owned()).or_default().push((seen - at as f64).max(0.0));
    }
    assert_eq!(delays.len(), 3, "the page was not kept true: {noted}");
    for (what, mut delays) in delays {
        delays.sort_by(f64::total_cmp);
        let (median, worst) = (delays[delays.len() / 2], delays[delays.len() - 1]);
        println!(
            "{what}: seen {median:.0} ms after the event (median of {}), {worst:.0} ms at worst",
            delays.len()
        );
    }
}

/// The events of a migration from this node: when each happened, and whether it was over then.
fn events(host: &Host, migration: &str) -> BTreeMap<u64, (u64, bool)> {
    let client = Client::new(&host.address, &host.token, None).unwrap();
    let over = |data: &Value| data["ended_ms"].is_u64();
    let mut events = BTreeMap::new();
    for told in client.events(Some(0)).unwrap().filter(|told| told.subject == migration) {
        let over = over(&told.data);
        events.insert(told.id, (told.at_ms, over));
        if over {
            break;
        }
    }
    events
}

/// Tells how long a page took: until it had come whole, and until something was painted.
fn tell_page(browser: &Browser, name: &str) {
    let times = browser.look(
        "const [page] = performance.getEntriesByType('navigation');
         const [paint] = performance.getEntriesByName('first-contentful-paint');
         return [page.responseEnd - page.requestStart, paint?.startTime ?? null, page.domContentLoadedEventEnd];",
    );
    let ms = |index: usize| times[index].as_f64().map(|ms| Duration::from_secs_f64(ms / 1e3));
    println!(
        "page {name}: come after {:.0?}, painted after {:.0?}, ready after {:.0?}",
        ms(0).unwrap(),
        ms(1).unwrap_or_default(),
        ms(2).unwrap()
    );
}

#[test]
#[ignore = "needs a browser; run by `cargo xtask test browser`"]
fn what_a_node_tells_is_seen_in_its_pages_while_one_looks() {
    let (hosts, browser) = (Hosts::with_probe(), Browser::start());
    note(&browser);
    browser.open(&hosts.a.login);
    tell_page(&browser, "overview");
    form(&browser, &hosts);
    tell_page(&browser, "form");
    // Nobody looks any closer meanwhile: that would keep the page from being written.
    browser.click("button.main");
    browser.until("document.querySelector('[data-final]')");
    assert_eq!(browser.text(STATE), "arrived", "{}", browser.text("main"));
    tell(&browser, &hosts.a, "a-1");
    tell_page(&browser, "of the migration");
    browser.click("nav a[href='/history']");
    browser.until("document.querySelector('tbody tr')");
    tell_page(&browser, "history");
}
