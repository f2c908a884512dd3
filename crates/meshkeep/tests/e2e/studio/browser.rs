//! A real browser, as a person uses one: Debian's chromium, without a window, that reaches nothing but loopback.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, key::Key, wd::WebDriverCompatibleCommand};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::Url;

use crate::process::{Running, eventually};

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Marks the page, and tells whether a press leaves it: on a link, or on a button that sends a form.
const MARK: &str = "window.meshkeepLeft = true; \
    const at = document.evaluate(arguments[0], document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue; \
    return at?.matches('a[href], button:not([type=button])') ?? false";
/// Whether this is another page than the marked one, and whole.
const ARRIVED: &str = "return window.meshkeepLeft === undefined && document.readyState === 'complete'";

pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Running,
    _profile: TempDir,
}

impl Browser {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let (driver, url) = driver();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = wanted else { unreachable!("it is an object") };
        let client =
            runtime.block_on(ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&url));
        let browser = Self { client: Some(client.expect("chromium starts")), runtime, driver, _profile: profile };
        browser.size(1280, 900);
        browser
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is open")
    }

    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client().goto(url)).unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.runtime.block_on(self.client().current_url()).expect("a page").to_string()
    }

    pub fn size(&self, width: u32, height: u32) {
        // The window's own size says nothing without a window.
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// As the system would be set.
    pub fn dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] }),
        );
    }

    /// What the page does without scripts.
    pub fn scripts(&self, run: bool) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    pub fn cdp(&self, command: &str, parameters: Value) -> Value {
        let command = Cdp(json!({ "cmd": command, "params": parameters }));
        self.runtime.block_on(self.client().issue_cmd(command)).expect("chromium does it")
    }

    pub fn js(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.runtime
            .block_on(self.client().execute(script, arguments))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The same for a script that calls the function that it gets last.
    pub fn js_later(&self, script: &str, arguments: Vec<Value>) -> Value {
        let done = self.runtime.block_on(self.client().execute_async(script, arguments));
        done.unwrap_or_else(|error| panic!("{error}"))
    }

    fn find(&self, locator: Locator<'_>) -> Element {
        let wait = self.client().wait().at_most(PATIENCE);
        let found = self.runtime.block_on(wait.for_element(locator));
        found.unwrap_or_else(|error| panic!("{locator:?} is not on {}: {error}\n{}", self.url(), self.text()))
    }

    /// Presses the button or link that is called so.
    #[track_caller]
    pub fn press(&self, name: &str) {
        let path = format!(
            "(//main//*[self::button or self::a][normalize-space()='{name}'] | //header//*[self::button or self::a][normalize-space()='{name}'])[not(@hidden)][not(@aria-hidden)][1]"
        );
        // A page that lives may have put another button in its place meanwhile.
        let leaves = eventually(&format!("a press on {name}"), || {
            let found = self.find(Locator::XPath(&path));
            let leaves = self.js(MARK, vec![json!(path)]);
            self.runtime.block_on(found.click()).map(|()| leaves == true).map_err(|error| error.to_string())
        });
        if leaves {
            eventually(&format!("the page behind {name}"), || {
                if self.js(ARRIVED, vec![]) == true { Ok(()) } else { Err(self.text()) }
            });
        }
    }

    /// Ticks what is labelled so.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        let found = self.find(Locator::XPath(&format!("//label[normalize-space()='{label}']")));
        self.runtime.block_on(found.click()).unwrap_or_else(|error| panic!("{label}: {error}"));
    }

    /// Types into the field that is labelled so, from its beginning.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        self.fill_nth(label, 0, text);
    }

    /// The same for one of several fields.
    #[track_caller]
    pub fn fill_nth(&self, label: &str, place: usize, text: &str) {
        self.sees_label(label);
        let script = "const [label, place] = arguments; \
            return [...document.querySelectorAll('label')].filter(l => l.textContent.trim() === label)[place]?.htmlFor ?? ''";
        let id = self.js(script, vec![json!(label), json!(place)]);
        let id =
            id.as_str().filter(|id| !id.is_empty()).unwrap_or_else(|| panic!("no field {label} {place}")).to_owned();
        let field = self.find(Locator::Id(&id));
        self.runtime.block_on(async {
            field.clear().await.expect("it can be emptied");
            field.send_keys(text).await.expect("it takes text");
        });
    }

    /// Chooses in the list that is labelled so.
    #[track_caller]
    pub fn choose(&self, label: &str, option: &str) {
        self.sees_label(label);
        let script = "const [label, option] = arguments; \
            const field = document.getElementById([...document.querySelectorAll('label')].find(l => l.textContent.trim() === label).htmlFor); \
            const found = [...field.options].find(o => o.textContent.trim().startsWith(option)); \
            if (!found) return false; field.value = found.value; \
            field.dispatchEvent(new Event('input', {bubbles: true})); return true";
        assert_eq!(self.js(script, vec![json!(label), json!(option)]), true, "{label} has no {option}");
    }

    /// Types where the focus is.
    pub fn type_keys(&self, keys: &str) {
        self.runtime.block_on(async {
            let field = self.client().active_element().await.expect("something has the focus");
            field.send_keys(keys).await.expect("it takes keys");
        });
    }

    /// Presses Tab until the focus is on what is called so: by its words, or by the name of its field.
    #[track_caller]
    pub fn tab_to(&self, name: &str) {
        for _ in 0..80 {
            self.type_keys(&Key::Tab.to_string());
            let script = "const at = document.activeElement; return at.type === 'hidden' ? '' : (at.matches('input, textarea, select') ? at.name : at.textContent.trim())";
            if self.js(script, vec![]) == name {
                return;
            }
        }
        panic!("Tab does not lead to {name}");
    }

    fn sees_label(&self, label: &str) {
        let path = format!("//label[normalize-space()='{label}']");
        self.find(Locator::XPath(&path));
    }

    /// All that a person reads on the page.
    pub fn text(&self) -> String {
        self.js("return document.body.innerText", vec![]).as_str().unwrap_or_default().to_owned()
    }

    /// The whole document as it stands.
    pub fn html(&self) -> String {
        self.js("return document.documentElement.outerHTML + [...document.querySelectorAll('textarea, input')].map(f => f.value).join('\\n')", vec![])
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the page says so.
    #[track_caller]
    pub fn sees(&self, words: &str) -> String {
        eventually(&format!("`{words}` on {}", self.url()), || {
            let text = self.text();
            if text.contains(words) { Ok(text) } else { Err(text) }
        })
    }

    /// What the page and its scripts complained about: refused by the page's policy, not found, thrown.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.runtime.block_on(self.client().issue_cmd(BrowserLog)).expect("chromium tells");
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.into_iter().filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    /// A picture of the whole page.
    pub fn picture(&self, path: &Path) {
        use base64::Engine as _;
        let shot = self.cdp("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let bytes = base64::prelude::BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; killed, it would leave it.
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
        self.driver.end(Signal::TERM);
    }
}

fn driver() -> (Running, String) {
    (0..5).find_map(|_| try_driver()).expect("chromedriver finds a port")
}

/// On a port that is free now; none when it was not any more.
fn try_driver() -> Option<(Running, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let mut driver = Running::start(Command::new("chromedriver").arg(format!("--port={port}")));
    let listens =
        eventually("chromedriver's start", || match (driver.is_alive(), TcpStream::connect(("127.0.0.1", port))) {
            (false, _) => Ok(false),
            (true, Ok(_)) => Ok(true),
            (true, Err(error)) => Err(format!("{error}; {}", driver.said())),
        });
    listens.then(|| (driver, format!("http://127.0.0.1:{port}")))
}

/// A command of the Chrome DevTools Protocol.
#[derive(Debug)]
struct Cdp(Value);

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// What stands in the browser's console since it was last asked.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
