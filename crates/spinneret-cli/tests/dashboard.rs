//! The manager's dashboard: a page that is live, numbers for Prometheus, and nothing but reading.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use common::watch::{get, parse_exposition, request, state};
use common::{Browser, Nest, Office, Run, wait_until};
use serde_json::Value;
use spinneret::manager::Queue;

/// A manager with a dashboard, and the address of that.
fn open(register: &[&str]) -> (Office, String) {
    let mut office = Office::open_with(register, &["--dashboard", "0"]);
    let url = office.manager.wait_for_stderr("dashboard on http://");
    (office, url)
}

/// Something of everything that happens to items.
fn work(tasks: &Queue<String>) {
    tasks.put_many((0..20).map(|number| format!("task {number}")).collect()).unwrap();
    let wait = Duration::from_secs(30);
    for lease in tasks.lease_many(5, wait, wait).unwrap() {
        lease.done().unwrap();
    }
    tasks.lease_timeout(wait, wait).unwrap().fail("it stumbled").unwrap();
}

#[test]
fn the_page_shows_what_happens_as_it_happens() {
    let (office, address) = open(&["tasks:maxsize=1000", "results", "<b>odd</b>"]);
    let mut browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open(&format!("http://{address}/"));
    browser.wait_until("document.querySelector('#status').dataset.state === 'live'");
    let cell = |queue: &str, label: &str| {
        format!(
            r#"document.querySelector('[data-queue="{queue}"] [data-label="{label}"]').innerText"#
        )
    };
    // A name is text, whatever it looks like.
    browser.wait_until("document.querySelectorAll('#queues tr').length === 3");
    assert_eq!(browser.eval("document.querySelectorAll('#queues b').length"), 0);
    assert_eq!(browser.text(r#"[data-queue="<b>odd</b>"] button"#), "<b>odd</b>");
    assert_eq!(browser.text("#total-queued"), "0");
    assert_eq!(browser.text("#connections-empty"), "Nobody is connected.");

    let client = office.client();
    let tasks = client.queue::<String>("tasks");
    work(&tasks);
    browser.wait_until(&format!("{}.startsWith('14')", cell("tasks", "Waiting")));
    browser.wait_until(&format!("{}.startsWith('20')", cell("tasks", "In")));
    browser.wait_until(&format!("{} === '5'", cell("tasks", "Done")));
    browser.wait_until(&format!("{} === '1'", cell("tasks", "Dead")));
    let wait = Duration::from_mins(1);
    let leases = tasks.lease_many(3, wait, wait).unwrap();
    browser.wait_until(&format!("{} === '3'", cell("tasks", "Leased")));
    browser.wait_until("document.querySelector('#total-leased').textContent === '3'");
    browser.wait_until(
        r#"document.querySelector('#connections [data-label="Leased"]').textContent === '3'"#,
    );
    drop(leases);

    // Work goes on, and the charts with it.
    browser.wait_until("document.querySelector('#rates svg .line.in') !== null");
    let drawn = "document.querySelector('#rates svg .line.in').getAttribute('d')";
    let (before, mut number) = (browser.eval(drawn), 0);
    browser.eval(r#"document.querySelector('[data-queue="results"] button').click()"#);
    assert_eq!(browser.text("#chosen"), "of results");
    let results = client.queue::<String>("results");
    browser.wait_until_while("document.querySelector('#rates .legend b').textContent > 0", || {
        number += 1;
        results.put(format!("result {number}")).unwrap();
    });
    assert_ne!(browser.eval(drawn), before);
    let description =
        browser.eval("document.querySelector('#rates svg').getAttribute('aria-label')");
    assert!(description.as_str().unwrap().starts_with("Items a second, now: in "), "{description}");

    // It fits a telephone, in the dark too.
    for (width, scheme) in [(400, "dark"), (400, "light"), (1280, "dark"), (1280, "light")] {
        browser.resize(width, 1000);
        browser.prefer(scheme);
        browser.wait_until(&format!("document.documentElement.scrollWidth <= {width}"));
        if let Some(folder) = std::env::var_os("SPINNERET_SCREENSHOTS") {
            let file = std::path::Path::new(&folder).join(format!("{width}-{scheme}.png"));
            std::fs::write(file, browser.screenshot()).unwrap();
        }
    }
    assert_eq!(browser.take_errors(), [""; 0]);

    // And it says when there is nobody to answer.
    drop(office);
    browser.wait_until("document.querySelector('#status').dataset.state === 'lost'");
    assert!(browser.text("#status").starts_with("no answer since"));
}

#[test]
fn what_prometheus_reads_is_well_formed_and_true() {
    let (office, address) = open(&["tasks:maxsize=1000", "we\"ird\\name"]);
    let client = office.client();
    work(&client.queue("tasks"));
    let (head, text) = request(&address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}"));
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let samples = parse_exposition(&text);
    let of_tasks =
        |name: &str| samples[&format!("spinneret_queue_{name}{{queue=\"tasks\"}}")].as_str();
    assert_eq!(of_tasks("depth"), "14");
    assert_eq!(of_tasks("puts_total"), "20");
    assert_eq!(of_tasks("deliveries_total"), "6");
    assert_eq!(of_tasks("done_total"), "5");
    assert_eq!(of_tasks("dead"), "1");
    assert_eq!(of_tasks("leased"), "0");
    assert_eq!(of_tasks("taken"), "0");
    assert_eq!(of_tasks("unfinished"), "14");
    assert_eq!(of_tasks("maxsize"), "1000");
    assert_eq!(of_tasks("closed"), "0");
    assert_eq!(samples[r#"spinneret_queue_depth{queue="we\"ird\\name"}"#], "0");
    assert_eq!(samples[r#"spinneret_connections{kind="spinneret"}"#], "1");
    assert_eq!(samples[r#"spinneret_connections{kind="python"}"#], "0");
    assert_eq!(samples["spinneret_workers"], "0");
    let started: f64 = samples["spinneret_start_time_seconds"].parse().unwrap();
    assert!(started > 1e9);
    client.queue::<String>("tasks").close().unwrap();
    let later = parse_exposition(&get(&address, "/metrics"));
    assert_eq!(later["spinneret_queue_closed{queue=\"tasks\"}"], "1");
}

#[test]
fn a_program_in_python_is_among_the_connections() {
    let (office, address) = open(&["get_task_queue"]);
    let program = r"
import sys
from multiprocessing.managers import BaseManager
BaseManager.register('get_task_queue')
host, port = sys.argv[1].split(':')
manager = BaseManager(address=(host, int(port)), authkey=b'a key that only friends have')
manager.connect()
queue = manager.get_task_queue()
queue.put('one')
print('there', flush=True)
sys.stdin.read()
";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", program, &office.address]).stdin(std::process::Stdio::piped());
    let mut python = Run::start(command);
    python.wait_for_stdout("there");
    let samples = parse_exposition(&get(&address, "/metrics"));
    assert_eq!(samples[r#"spinneret_connections{kind="python"}"#], "1");
    let state = state(&address, 0);
    let peer = &state["connections"]["first"][0];
    assert_eq!((&peer["kind"], &peer["version"]), (&"python".into(), &"pickle 4".into()));
    assert_eq!(office.get_all("get_task_queue"), ["one"]);
    drop(python.stdin());
    python.finish().expect(0);
    wait_until("its connection is gone", || {
        let samples = parse_exposition(&get(&address, "/metrics"));
        samples[r#"spinneret_connections{kind="python"}"#] == "0"
    });
}

#[test]
fn the_state_has_a_history_that_goes_on_where_a_reader_left_off() {
    let (office, address) = open(&["tasks"]);
    let client = office.client();
    client.queue::<String>("tasks").put("one".to_owned()).unwrap();
    let last = |state: &Value| state["sample"].as_u64().unwrap();
    wait_until("three samples are taken", || last(&state(&address, 0)) >= 3);
    let whole = state(&address, 0);
    let queue = &whole["queues"][0];
    assert_eq!(queue["name"], "tasks");
    assert_eq!((&queue["queued"], &queue["puts"]), (&1.into(), &1.into()));
    assert_eq!(queue["maxsize"], Value::Null);
    let samples = |state: &Value, key: &str| {
        state["queues"][0]["history"][key].as_array().unwrap().len() as u64
    };
    for key in ["queued", "puts", "delivered"] {
        assert_eq!(samples(&whole, key), last(&whole), "{key}");
    }
    let later = state(&address, last(&whole) - 1);
    assert_eq!(samples(&later, "queued"), last(&later) - last(&whole) + 1);
    assert_eq!(samples(&state(&address, u64::MAX), "queued"), 0);
    assert_eq!(whole["connections"]["total"], 1);
    assert_eq!(whole["connections"]["first"][0]["kind"], "spinneret");
    assert_eq!(whole["workers"]["total"], 0);
    assert_eq!(get(&address, "/healthz"), "ok\n");
}

#[test]
fn it_is_only_to_be_read_and_only_by_its_own_name() {
    let (_office, address) = open(&["tasks"]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let head = format!("{method} /api/state HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0");
        let (head, _) = request(&address, &head);
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD"), "{head}");
    }
    let port = address.rsplit_once(':').unwrap().1;
    for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", ""] {
        for path in ["/", "/api/state", "/metrics"] {
            let (head, body) =
                request(&address, &format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}"));
            assert!(head.starts_with("HTTP/1.1 421 "), "{host}: {head}");
            assert!(!body.contains("tasks"), "{body}");
        }
    }
    let (head, _) = request(&address, "GET / HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 4"), "without a host: {head}");
    for path in ["/", "/page.js", "/page.css", "/chart.js", "/icon.svg", "/metrics", "/api/state"] {
        let (head, body) =
            request(&address, &format!("HEAD {path} HTTP/1.1\r\nHost: localhost:{port}"));
        assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{path}: {head}");
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; "), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
    }
    let (head, _) = request(&address, &format!("GET /etc/passwd HTTP/1.1\r\nHost: {address}"));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[test]
fn those_who_are_silent_do_not_keep_others_out() {
    let (_office, address) = open(&["tasks"]);
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(get(&address, "/healthz"), "ok\n");
    drop(silent);
}

#[test]
fn it_is_this_machines_own_unless_a_host_is_named_and_leaves_standard_output_alone() {
    let (office, address) = open(&["tasks"]);
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    office.client().shutdown().unwrap();
    let listening = office.address.clone();
    let ended = office.manager.finish().expect(0);
    assert_eq!(ended.stdout, format!("listening on {listening}\n"));
    assert!(TcpStream::connect(&address).is_err());

    let mut open = Office::open_with(&["tasks"], &["--dashboard", "0.0.0.0:0"]);
    open.manager.wait_for_stderr("dashboard on http://0.0.0.0:");
    open.manager.wait_for_stderr("warning: whoever reaches the dashboard");

    let nest = Nest::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let args = ["manager", "--listen", "127.0.0.1:0", "--dashboard"];
    let refused = nest.run(&[&args[..], &[&taken]].concat()).expect(3);
    assert!(refused.stderr.contains("the dashboard cannot listen on"), "{}", refused.stderr);
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    let wrong = nest.run(&[&args[..], &["nowhere"]].concat()).expect(2);
    assert!(wrong.stderr.contains("HOST:PORT"), "{}", wrong.stderr);
}
