//! How a page looks: to a person with eyes, in a picture, and to one without, by axe-core.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::browser::Browser;

/// What a phone is wide and high, in CSS pixels.
const PHONE: (u32, u32) = (390, 844);

/// Looks at a page: it fits on a phone, no serious fault may be found, and a picture is taken where pictures are wanted.
pub(crate) fn look(browser: &Browser, name: &str) {
    picture(browser, name);
    in_order(browser, name);
}

/// The same, with pictures in the dark and on a phone as well.
pub(crate) fn look_every_way(browser: &Browser, name: &str) {
    picture(browser, name);
    prefer(browser, "dark");
    picture(browser, &format!("{name}-dark"));
    prefer(browser, "");
    on_a_phone(browser, || picture(browser, &format!("{name}-phone")));
    in_order(browser, name);
}

/// That nobody is kept out of the page.
fn in_order(browser: &Browser, name: &str) {
    let beyond = on_a_phone(browser, || {
        browser.look("return document.documentElement.scrollWidth - window.innerWidth")
    });
    assert!(beyond.as_i64().unwrap() <= 0, "{name} is {beyond} pixels too wide for a phone");
    let faults = faults(browser);
    assert!(faults.is_empty(), "{name}: {}", serde_json::to_string_pretty(&faults).unwrap());
}

fn on_a_phone<T>(browser: &Browser, look: impl FnOnce() -> T) -> T {
    let phone =
        json!({ "width": PHONE.0, "height": PHONE.1, "deviceScaleFactor": 1, "mobile": true });
    browser.chromium("Emulation.setDeviceMetricsOverride", &phone);
    let seen = look();
    browser.chromium("Emulation.clearDeviceMetricsOverride", &json!({}));
    seen
}

/// What axe-core finds that keeps people out; `AXE` says where it is, and without it nothing is looked for.
fn faults(browser: &Browser) -> Vec<Value> {
    let Some(axe) = std::env::var_os("AXE") else { return Vec::new() };
    let axe = fs::read_to_string(axe).unwrap();
    let script = format!(
        "{axe}
        const done = arguments[arguments.length - 1];
        axe.run().then((found) => done(found.violations
          .filter((it) => it.impact === 'serious' || it.impact === 'critical')
          .map((it) => ({{ rule: it.id, help: it.help, where: it.nodes.map((node) => node.html) }}))));"
    );
    let modes = ["light", "dark"].map(|mode| {
        prefer(browser, mode);
        browser.run(&script).as_array().unwrap().clone()
    });
    prefer(browser, "");
    modes.concat()
}

fn prefer(browser: &Browser, mode: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": mode });
    browser.chromium("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
}

/// The whole page, also what one would have to scroll to, and nothing below it; into the folder that `SCREENSHOTS` names.
pub(crate) fn picture(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
    let size = browser.look(
        "return [window.innerWidth, Math.ceil(document.body.getBoundingClientRect().height)]",
    );
    let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
    let wanted = json!({ "captureBeyondViewport": true, "clip": clip });
    let taken = browser.chromium("Page.captureScreenshot", &wanted);
    let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
    let path = PathBuf::from(folder).join(format!("{name}.png"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
}
