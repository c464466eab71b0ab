//! A headless Chromium, driven by its `DevTools` protocol over a pair of pipes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::WATCHDOG;

/// A browser with one page. Dropping it ends it, its helpers included.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    session: Option<String>,
    /// Whether the page is there.
    loaded: bool,
    /// Errors that the page has logged or not caught.
    errors: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads its orders from descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh"])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--remote-debugging-pipe", "--user-data-dir"])
            .arg(profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while let Ok(1..) = output.read_until(0, &mut message) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            last_id: 0,
            session: None,
            loaded: false,
            errors: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Gives an order and returns the answer to it.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut order = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{order}\0").as_bytes()).unwrap();
        let started = Instant::now();
        loop {
            let message = self.next(method, started);
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// The next message, within the watchdog's time from the start of what is waited for.
    fn next(&mut self, what: &str, started: Instant) -> Value {
        let left = WATCHDOG.saturating_sub(started.elapsed());
        let message = self.messages.recv_timeout(left);
        let message = message.unwrap_or_else(|error| panic!("{what}: {error}"));
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown") => {
                self.errors.push(params["exceptionDetails"].to_string());
            }
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                self.errors.push(params.to_string());
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.errors.push(params["entry"].to_string());
            }
            _ => {}
        }
        message
    }

    /// Opens an address and waits until the page is loaded.
    pub fn open(&mut self, url: &str) {
        self.loaded = false;
        let opened = self.call("Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        let started = Instant::now();
        while !self.loaded {
            self.next(url, started);
        }
    }

    /// How large the page is, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the user prefers: `dark` or `light`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", &params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The text of the first element that a CSS selector finds; empty if there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.textContent", json!(selector)));
        found.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Waits until an expression in the page is true.
    pub fn wait_until(&mut self, condition: &str) {
        self.wait_until_while(condition, || {});
    }

    /// Waits until an expression in the page is true, doing something between looking.
    pub fn wait_until_while(&mut self, condition: &str, mut work: impl FnMut()) {
        let started = Instant::now();
        while self.eval(&format!("Boolean({condition})")) != true {
            assert!(
                started.elapsed() < WATCHDOG / 2,
                "waited too long for {condition} in a page with {:?}; errors: {:?}",
                self.text("body"),
                self.errors
            );
            work();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The page as a picture, PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let params = json!({"captureBeyondViewport": true});
        let shot = self.call("Page.captureScreenshot", &params);
        BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// Errors of the page since the last time.
    pub fn take_errors(&mut self) -> Vec<String> {
        // Whatever was logged before this answer has come before it.
        self.eval("0");
        std::mem::take(&mut self.errors)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
