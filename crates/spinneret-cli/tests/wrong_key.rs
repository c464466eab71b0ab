//! The manager serves who has the key, and nobody else; and the small promises of `manager` and
//! `queue` that scripts rely on.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::io::{PipeWriter, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use common::{Nest, Office, Run};
use rustix::process::Signal;
use spinneret::manager::{AuthKey, Client};

#[test]
fn a_wrong_key_is_refused_and_the_right_one_still_served() {
    let office = Office::open(&["tasks"]);
    let wrong = office.nest.write("wrong", "a key that anybody could guess\n");
    for _ in 0..3 {
        let queue = ["queue", &office.address, "tasks", "len", "--authkey-file", &wrong];
        let worker = ["worker", &office.address, "--authkey-file", &wrong];
        for args in [&queue[..], &worker[..]] {
            let refused = office.nest.run(args).expect(3);
            assert!(refused.stderr.contains("another key"), "{}", refused.stderr);
            assert!(refused.stdout.is_empty(), "{}", refused.stdout);
        }
    }
    office.queue("tasks", &["put", "one"]).expect(0);
    assert_eq!(office.get_all("tasks"), ["one"]);
}

#[test]
fn the_key_may_come_from_the_environment() {
    let office = Office::open(&["tasks"]);
    let mut command = office.nest.command(&["queue", &office.address, "tasks", "len"]);
    command.env("SPINNERET_AUTHKEY", "a key that only friends have");
    assert_eq!(Run::start(command).finish().expect(0).stdout, "0\n");
    let mut command = office.nest.command(&["queue", &office.address, "tasks", "len"]);
    command.env("SPINNERET_AUTHKEY", "another one");
    Run::start(command).finish().expect(3);
}

#[test]
fn items_go_in_and_come_out_in_order() {
    let office = Office::open(&["tasks:maxsize=4", "results"]);
    office.queue("tasks", &["put", "one", "two words", "drei: ä"]).expect(0);
    assert_eq!(office.queue("tasks", &["len"]).expect(0).stdout, "3\n");
    assert_eq!(office.queue("tasks", &["get"]).expect(0).stdout, "one\n");
    assert_eq!(office.get_all("tasks"), ["two words", "drei: ä"]);
    let empty = office.queue("tasks", &["get"]).expect(0);
    assert_eq!(empty.stdout, "");
    assert_eq!(office.queue("results", &["len"]).expect(0).stdout, "0\n");

    let full = office.queue("tasks", &["put", "--timeout", "0.1", "1", "2", "3", "4", "5"]);
    let full = full.expect(3);
    assert!(full.stderr.contains("full"), "{}", full.stderr);
    let unknown = office.queue("nobody", &["len"]).expect(3);
    assert!(unknown.stderr.contains("no queue `nobody`"), "{}", unknown.stderr);
}

#[test]
fn lines_of_standard_input_are_items() {
    let office = Office::open(&["tasks"]);
    let lines: Vec<String> = (0..2500).map(|number| format!("http://a.org/{number}.png")).collect();
    let args = office.queue_args("tasks", &["put"]);
    office.nest.run_with_input(&args, lines.join("\n").as_bytes()).expect(0);
    assert_eq!(office.queue("tasks", &["len"]).expect(0).stdout, "2500\n");
    let got = office.queue("tasks", &["get", "--max", "5000"]).expect(0);
    assert_eq!(got.stdout.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_line_is_put_before_the_next_one_comes() {
    let office = Office::open(&["tasks"]);
    let mut command = office.nest.command(&office.queue_args("tasks", &["put"]));
    command.stdin(Stdio::piped());
    let mut put = Run::start(command);
    let mut input = put.stdin();
    input.write_all(b"one\n").unwrap();
    let client = office.client();
    let queue = client.queue::<String>("tasks");
    assert_eq!(queue.get_timeout(Duration::from_mins(1)).unwrap(), "one");
    assert!(put.is_running());
    input.write_all(b"two").unwrap();
    drop(input);
    put.finish().expect(0);
    assert_eq!(office.get_all("tasks"), ["two"]);
}

#[test]
fn what_nobody_reads_is_no_failure_and_its_items_stay() {
    let office = Office::open(&["tasks"]);
    let long = "x".repeat(1 << 20);
    let args = office.queue_args("tasks", &["put"]);
    let lines = format!("one\n{long}\nthree\nfour");
    office.nest.run_with_input(&args, lines.as_bytes()).expect(0);
    let start = |args: &[&str], writer: PipeWriter| {
        let mut command = office.nest.command(args);
        command.stdout(writer);
        Run::start_into(command)
    };
    let get = office.queue_args("tasks", &["get", "--max", "10"]);
    for args in
        [&get, &office.queue_args("tasks", &["len"]), &vec!["manager", "--listen", "127.0.0.1:0"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = start(args, writer).finish().expect(0);
        assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
        assert_eq!(office.queue("tasks", &["len"]).expect(0).stdout, "4\n");
    }
    // No pipe holds the second item, so that this is closed in the midst of it.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let run = start(&get, writer);
    let mut first = [0; 5];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    run.finish().expect(0);
    assert_eq!(&first, b"one\nx");
    let left = office.get_all("tasks");
    assert!(left == [&long, "three", "four"], "{} are left", left.len());
}

#[test]
fn what_was_given_up_is_a_dead_letter_until_it_is_put_back() {
    let office = Office::open(&["tasks:max_deliveries=3"]);
    office.queue("tasks", &["put", "unlucky"]).expect(0);
    let key = AuthKey::from_file(std::path::Path::new(&office.key)).unwrap();
    let queue = || {
        let client = Client::connect(&office.address, &key).unwrap();
        client.queue::<String>("tasks")
    };
    let wait = Duration::from_secs(30);
    // The first worker goes away with the task in its hands, the second gives it up.
    let lease = queue().lease_timeout(wait, wait).unwrap();
    assert_eq!((lease.as_str(), lease.deliveries()), ("unlucky", 1));
    drop(lease);
    let lease = queue().lease_timeout(wait, wait).unwrap();
    assert_eq!(lease.deliveries(), 2);
    lease.fail("the worker stumbled").unwrap();
    let dead = office.queue("tasks", &["dead"]).expect(0).stdout;
    let fields: Vec<&str> = dead.trim_end().split('\t').collect();
    assert!(matches!(fields[..], ["2", _, "unlucky"]), "{dead}");
    assert!(fields[1].contains("stumbled"), "{dead}");
    assert_eq!(office.queue("tasks", &["len"]).expect(0).stdout, "0\n");
    office.queue("tasks", &["dead", "--requeue"]).expect(0);
    assert_eq!(office.queue("tasks", &["dead"]).expect(0).stdout, "");
    assert_eq!(office.get_all("tasks"), ["unlucky"]);
}

#[test]
fn the_manager_says_one_line_and_ends_cleanly_by_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let office = Office::open(&["tasks"]);
        let address = office.address.clone();
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
        // Somebody who waits for an item is no reason to stay.
        let waiting = office.nest.start(&office.queue_args("tasks", &["get", "--timeout", "100"]));
        let key = AuthKey::from_file(std::path::Path::new(&office.key)).unwrap();
        let client = Client::connect(&address, &key).unwrap();
        office.manager.signal(signal);
        let ended = office.manager.finish().expect(0);
        assert_eq!(ended.stdout, format!("listening on {address}\n"));
        assert!(client.ping().is_err());
        assert_ne!(waiting.finish().code(), 101, "the client panicked");
    }
}

#[test]
fn a_client_can_shut_the_manager_down() {
    let office = Office::open(&["tasks"]);
    let key = AuthKey::from_file(std::path::Path::new(&office.key)).unwrap();
    Client::connect(&office.address, &key).unwrap().shutdown().unwrap();
    office.manager.finish().expect(0);
}

#[test]
fn an_address_in_use_is_refused() {
    let nest = Nest::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = nest.run(&["manager", "--listen", &address]).expect(3);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    let crawl = ["crawl", "http://127.0.0.1:9/", "--allow-private", "--listen", &address];
    let refused = nest.run(&crawl).expect(3);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
}

#[test]
fn a_cause_is_said_once_and_in_plain_text() {
    let nest = Nest::new();
    let missing = ["manager", "--listen", "127.0.0.1:0", "--authkey-file", "nowhere"];
    let refused = nest.run(&missing).expect(3);
    assert_eq!(refused.stderr.matches("No such file").count(), 1, "{}", refused.stderr);
    // Standard error is no terminal here: no colours.
    let key = nest.write("key", "any");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let warned = nest.run(&["queue", &free, "tasks", "--authkey-file", &key]).expect(3);
    assert!(warned.stderr.contains("chmod 600"), "{}", warned.stderr);
    assert!(!warned.stderr.contains('\x1b'), "{:?}", warned.stderr);
}

#[test]
fn nobody_at_an_address_is_said() {
    let nest = Nest::new();
    let key = nest.write("key", "any");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refused = nest.run(&["queue", &free, "tasks", "len", "--authkey-file", &key]).expect(3);
    assert!(refused.stderr.contains("nothing listens on"), "{}", refused.stderr);
}

#[test]
fn on_one_machine_the_manager_makes_the_key() {
    let nest = Nest::new();
    let mut manager = nest.start(&["manager", "--listen", "127.0.0.1:0", "--register", "tasks"]);
    let address = manager.wait_for_stdout("listening on ");
    let file = nest.path("state/spinneret/authkey");
    let made = std::fs::metadata(&file).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    assert!(made.len() >= 32);
    assert_eq!(nest.run(&["queue", &address, "tasks", "len"]).expect(0).stdout, "0\n");
    // The next manager has the same key.
    let key = std::fs::read(&file).unwrap();
    let mut second = nest.start(&["manager", "--listen", "127.0.0.1:0", "--register", "tasks"]);
    second.wait_for_stdout("listening on ");
    assert_eq!(std::fs::read(&file).unwrap(), key);
}

#[test]
fn other_machines_are_let_in_only_by_a_key_of_the_users_own() {
    let nest = Nest::new();
    for args in [
        &["manager", "--listen", "0.0.0.0:0"][..],
        &["crawl", "http://127.0.0.1:9/", "--allow-private", "--listen", "0.0.0.0:0"],
        // And without a key file there is none to try.
        &["queue", "127.0.0.1:9", "tasks", "len"],
        &["worker", "127.0.0.1:9"],
    ] {
        let wrong = nest.run(args).expect(2);
        assert!(wrong.stderr.contains("--authkey-file"), "{}", wrong.stderr);
        assert!(wrong.stderr.contains("SPINNERET_AUTHKEY"), "{}", wrong.stderr);
    }
    assert!(!nest.path("state").exists(), "a key was made");
}
