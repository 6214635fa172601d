//! A browser without a window, driven over WebDriver: a dozen requests, for which the HTTP client of the tests is enough.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::{Value, json};

/// How long anything may take that a page is waited for; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one look at a page may last, before it is begun anew.
const LOOK: Duration = Duration::from_secs(10);
/// By what WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What the browser must not do by itself.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1080,900",
];

/// A browser with one page open.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let mut driver = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("no chromedriver; `cargo xtask test browser` installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| Some(port(&line.unwrap())?.to_owned())).unwrap();
        // What it says later is of no interest, and must not fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let client = landfall_node::trust::client(None).timeout(PATIENCE).build().unwrap();
        let mut browser =
            Self { driver, client, session: format!("http://127.0.0.1:{port}/session") };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": FLAGS },
            "timeouts": { "script": LOOK.as_millis(), "pageLoad": PATIENCE.as_millis() },
            "unhandledPromptBehavior": "ignore",
        } } });
        let session = browser.post("", &wanted).unwrap();
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        browser
    }

    fn answer(&self, request: reqwest::blocking::RequestBuilder) -> Result<Value, String> {
        let answer: Value = request.send().unwrap().json().unwrap();
        let value = answer["value"].clone();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.answer(self.client.post(format!("{}{path}", self.session)).json(body))
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        self.answer(self.client.get(format!("{}{path}", self.session)))
    }

    pub(crate) fn open(&self, address: &str) {
        self.post("/url", &json!({ "url": address })).unwrap();
    }

    pub(crate) fn address(&self) -> String {
        self.get("/url").unwrap().as_str().unwrap().to_owned()
    }

    /// What a piece of JavaScript gives, in the page.
    pub(crate) fn look(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] })).unwrap()
    }

    /// The same for one that calls its last argument when it is done.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": [] })).unwrap()
    }

    /// The text of an element; nothing where there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        self.look(&script).as_str().unwrap().to_owned()
    }

    /// Does what a person does with a mouse: it fails when the element cannot be seen or reached.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let element = found.unwrap()[ELEMENT].as_str().unwrap().to_owned();
        self.post(&format!("/element/{element}/click"), &json!({})).unwrap();
    }

    /// Waits until something is so in the page, which may change and be loaded anew meanwhile.
    pub(crate) fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{ if ({condition}) {{ observer.disconnect(); done(true); }} }};
             const observer = new MutationObserver(look);
             observer.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
             look();"
        );
        let begin = Instant::now();
        loop {
            match self.post("/execute/async", &json!({ "script": script, "args": [] })) {
                Ok(_) => return,
                // The page has gone, or the look at it has lasted long enough: another one.
                Err(_) if begin.elapsed() < PATIENCE => {}
                Err(error) => panic!(
                    "`{condition}` did not come about at {} ({error}):\n{}",
                    self.address(),
                    self.text("body")
                ),
            }
        }
    }

    /// What the page asks before it does what cannot be undone.
    pub(crate) fn question(&self) -> String {
        self.get("/alert/text").unwrap().as_str().unwrap().to_owned()
    }

    pub(crate) fn answer_question(&self, yes: bool) {
        let path = if yes { "/alert/accept" } else { "/alert/dismiss" };
        self.post(path, &json!({})).unwrap();
    }

    /// Asks the chromium behind it, for what WebDriver has no word for; gives its answer.
    pub(crate) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).unwrap()
    }
}

/// Where the driver says that it listens.
fn port(line: &str) -> Option<&str> {
    line.strip_suffix('.')?.split_once("successfully on port ").map(|(_, port)| port)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; where that fails, the end of the driver does.
        let _ = self.client.delete(&self.session).send();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
