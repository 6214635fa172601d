//! How a page looks: to a person with eyes, in a picture, and to one without, by axe-core.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::browser::Browser;

/// Looks at a page in both ways: no serious fault may be found, and a picture is taken where pictures are wanted.
pub(crate) fn look(browser: &Browser, name: &str) {
    let faults = faults(browser);
    assert!(faults.is_empty(), "{name}: {}", serde_json::to_string_pretty(&faults).unwrap());
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        picture(browser, PathBuf::from(folder).join(format!("{name}.png")));
    }
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

/// The whole page, also what one would have to scroll to.
fn picture(browser: &Browser, path: PathBuf) {
    let taken =
        browser.chromium("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
    let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
}
