//! `spinneret queue` shows what a manager has, and lets some of it go again.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::time::Duration;

use common::{Ended, Nest, Office};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What `spinneret queue` with these arguments prints, an object of JSON a line.
fn objects(ended: Ended) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ended.expect(0).stdout.lines().map(parse).collect()
}

/// `spinneret queue` without a queue's name.
fn list(office: &Office, more: &[&str]) -> Ended {
    let args = ["queue", "--authkey-file", &office.key, &office.address];
    office.nest.run(&[&args[..], more].concat())
}

#[test]
fn all_queues_are_listed_as_a_table() {
    let office = Office::open(&["tasks:maxsize=100", "results"]);
    office.queue("tasks", &["put", "one", "two", "three"]).expect(0);
    office.queue("tasks", &["get"]).expect(0);
    office.client().queue::<String>("results").close().unwrap();
    let table = list(&office, &[]).expect(0).stdout;
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            ["queue", "waiting", "leased", "dead", "in", "out", "done", "bound", "state"],
            ["results", "0", "0", "0", "0", "0", "0", "-", "closed"],
            ["tasks", "2", "0", "0", "3", "1", "1", "100", "open"],
        ]
    );
    let listed = objects(list(&office, &["--json"]));
    assert_eq!(listed[1]["name"], "tasks");
    assert_eq!(listed[1]["queued"], 2);
    assert_eq!(listed[1]["maxsize"], 100);
    assert_eq!(listed[0]["maxsize"], Value::Null);
    assert_eq!(listed[0]["closed"], true);

    let none = list(&Office::open(&[]), &[]).expect(0);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("no queues"), "{}", none.stderr);
}

#[test]
fn a_queue_by_itself_is_shown_in_numbers() {
    let office = Office::open(&["tasks:maxsize=100"]);
    office.queue("tasks", &["put", "one", "two", "three"]).expect(0);
    for args in [&[][..], &["stats"]] {
        let stats = office.queue("tasks", args).expect(0).stdout;
        assert!(stats.contains("waiting  3\n") && stats.contains("bound    100\n"), "{stats}");
    }
    let stats = objects(office.queue("tasks", &["stats", "--json"]));
    let expected = json!({
        "name": "tasks", "queued": 3, "delayed": 0, "leased": 0, "taken": 0, "unfinished": 3, "dead": 0,
        "puts": 3, "delivered": 0, "done": 0, "maxsize": 100, "closed": false,
    });
    assert_eq!(stats, [expected]);
    let unknown = office.queue("nobody", &[]).expect(3);
    assert!(unknown.stderr.contains("no queue `nobody`"), "{}", unknown.stderr);
}

#[test]
fn an_action_without_a_queue_is_refused() {
    let office = Office::open(&["tasks"]);
    for action in [&["put", "one"][..], &["get"], &["len"], &["dead", "--drop"]] {
        let args = ["queue", "--authkey-file", &office.key, &office.address];
        let wrong = office.nest.run(&[&args[..], action].concat()).expect(2);
        assert!(wrong.stderr.contains("NAME") && wrong.stdout.is_empty(), "{}", wrong.stderr);
        let help = office.nest.run(&["queue", &office.address, "tasks", action[0], "--help"]);
        let usage = format!("spinneret queue <ADDRESS> <NAME> {}", action[0]);
        assert!(help.expect(0).stdout.contains(&usage));
    }
}

#[test]
fn what_waits_is_shown_and_stays() {
    let office = Office::open(&["tasks"]);
    let numbers: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    let mut put = vec!["put"];
    put.extend(numbers.iter().map(String::as_str));
    office.queue("tasks", &put).expect(0);
    let shown = office.queue("tasks", &["peek"]).expect(0).stdout;
    assert_eq!(shown.lines().collect::<Vec<_>>(), numbers[..10]);
    assert_eq!(office.queue("tasks", &["peek", "--max", "1"]).expect(0).stdout, "0\n");
    let first = objects(office.queue("tasks", &["peek", "--max", "1", "--json"]));
    assert_eq!(first, [json!({"item": "0", "deliveries": 0, "priority": 0, "delay": 0.0})]);
    assert_eq!(office.get_all("tasks"), numbers);
    assert_eq!(office.queue("tasks", &["peek"]).expect(0).stdout, "");
}

#[test]
fn items_may_be_put_before_others_later_or_only_once() {
    let office = Office::open(&["tasks"]);
    office.queue("tasks", &["put", "plain"]).expect(0);
    office.queue("tasks", &["put", "--priority", "5", "urgent"]).expect(0);
    office.queue("tasks", &["put", "--priority", "-5", "whenever"]).expect(0);
    office.queue("tasks", &["put", "--delay", "3600", "in an hour"]).expect(0);
    for left_out in ["", "1 left out"] {
        let once = office.queue("tasks", &["put", "--dedupe", "3600", "once"]).expect(0);
        assert!(once.stderr.contains(left_out), "{}", once.stderr);
    }
    let waiting = objects(office.queue("tasks", &["peek", "--json"]));
    assert_eq!(waiting[4]["item"], "in an hour");
    assert!(waiting[4]["delay"].as_f64().unwrap() > 3000.0, "{waiting:?}");
    assert_eq!(objects(office.queue("tasks", &["stats", "--json"]))[0]["delayed"], 1);
    assert_eq!(office.get_all("tasks"), ["urgent", "plain", "once", "whenever"]);
}

#[test]
fn items_that_are_no_texts_are_shown_as_python_would_and_as_json() {
    let office = Office::open(&["tasks"]);
    let tasks = office.client().queue::<(u32, Option<String>)>("tasks");
    tasks.put((7, Some("it's".to_owned()))).unwrap();
    tasks.put((8, None)).unwrap();
    let shown = office.queue("tasks", &["peek"]).expect(0).stdout;
    assert_eq!(shown, "(7, \"it's\")\n(8, None)\n");
    let got = objects(office.queue("tasks", &["get", "--max", "2", "--json"]));
    let expected = [
        json!({"item": [7, "it's"], "deliveries": 1}),
        json!({"item": [8, null], "deliveries": 1}),
    ];
    assert_eq!(got, expected);
}

#[test]
fn some_of_the_dead_are_put_back_and_some_dropped() {
    let office = Office::open(&["tasks"]);
    office.queue("tasks", &["put", "a.png", "b.png", "c.jpg", "d.jpg"]).expect(0);
    let tasks = office.client().queue::<String>("tasks");
    let wait = Duration::from_secs(30);
    for (lease, reason) in
        tasks.lease_many(4, wait, wait).unwrap().into_iter().zip(["slow", "broken", "slow", "slow"])
    {
        lease.fail(reason).unwrap();
    }
    let dead = |more: &[&str]| office.queue("tasks", &[&["dead"], more].concat());
    let items = |more: &[&str]| -> Vec<Value> {
        let found = objects(dead(&[&["--json"], more].concat()));
        found.into_iter().map(|dead| dead["item"].clone()).collect()
    };
    assert_eq!(items(&[]), ["a.png", "b.png", "c.jpg", "d.jpg"]);
    assert_eq!(items(&["--match", "slow"]), ["a.png", "c.jpg", "d.jpg"]);
    assert_eq!(items(&["--match", "jpg", "--max", "1"]), ["c.jpg"]);
    let one = &objects(dead(&["--json", "--match", "broken"]))[0];
    assert_eq!((&one["deliveries"], &one["reason"]), (&json!(1), &json!("failed: broken")));

    assert!(
        dead(&["--match", "jpg", "--max", "1", "--requeue"]).expect(0).stderr.contains("1 put")
    );
    assert_eq!(office.get_all("tasks"), ["c.jpg"]);
    assert!(dead(&["--match", "slow", "--drop"]).expect(0).stderr.contains("2 dropped"));
    assert_eq!(items(&[]), ["b.png"]);
    dead(&["--requeue"]).expect(0);
    assert_eq!(office.get_all("tasks"), ["b.png"]);
    dead(&["--requeue", "--drop"]).expect(2);
}

#[test]
fn a_data_folder_keeps_queues_from_one_manager_to_the_next() {
    let nest = Nest::new();
    let key = nest.write("key", "a key that only friends have");
    let start = |more: &[&str]| {
        let args = ["manager", "--listen", "127.0.0.1:0", "--authkey-file", &key, "--data", "data"];
        let mut manager = nest.start(&[&args[..], more].concat());
        let address = manager.wait_for_stdout("listening on ");
        (manager, address)
    };
    let queue = |address: &str, more: &[&str]| {
        nest.run(&[&["queue", "--authkey-file", &key, address][..], more].concat()).expect(0).stdout
    };
    let register = ["--register", "tasks:maxsize=10", "--register", "scratch:memory"];
    let (first, address) = start(&register);
    queue(&address, &["tasks", "put", "one", "two"]);
    queue(&address, &["scratch", "put", "three"]);
    let args = ["manager", "--listen", "127.0.0.1:0", "--authkey-file", &key, "--data", "data"];
    let second = nest.run(&args).expect(3);
    assert!(second.stderr.contains("data"), "{}", second.stderr);
    first.signal(Signal::KILL);
    drop(first);
    let (_manager, address) = start(&[]);
    assert_eq!(queue(&address, &["tasks", "get", "--max", "9"]), "one\ntwo\n");
    assert!(!queue(&address, &[]).contains("scratch"));
}

#[test]
fn help_teaches_by_examples() {
    let help = Nest::new().run(&["queue", "--help"]).expect(0).stdout;
    for example in ["tasks put", "results peek", "dead --match", "--json"] {
        assert!(help.contains(example), "{example}: {help}");
    }
}
