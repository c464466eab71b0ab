//! Python's own tests of its managers, with ours in the place of theirs.
//!
//! What they have that cannot pass here is left out by name, with the reason, in
//! `scripts/cpython_suite.py`.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{builder, pythons::Python};

/// Classes of tests that run at a time. Most of their time they sleep, but they measure it too.
const AT_A_TIME: usize = 2;
/// What the script says if its Python came without tests.
const NO_TESTS: i32 = 77;

/// Runs all tests of one version, of which at least that many must pass and none fail.
fn suite(version: (u8, u8), least: usize) {
    let name = format!("{}.{}", version.0, version.1);
    let Some(python) = Python::find(version) else {
        println!("skipped: there is no Python {name} on this machine");
        return;
    };
    let manager = builder().start().unwrap();
    let classes = python.script("cpython_suite.py", &manager).output().unwrap();
    let text = String::from_utf8_lossy(&classes.stdout);
    if classes.status.code() == Some(NO_TESTS) {
        println!("skipped: this Python {name} came without its tests: {text}");
        return;
    }
    assert!(classes.status.success(), "{}", String::from_utf8_lossy(&classes.stderr));
    let waiting: Mutex<Vec<&str>> = Mutex::new(text.lines().rev().collect());
    let report = Mutex::new(String::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some(class) = next else { break };
                    let class = run(python, class);
                    report.lock().unwrap().push_str(&class);
                }
            });
        }
    });
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    let named = |what: &str| -> BTreeSet<&str> {
        report.lines().filter_map(|line| line.strip_prefix(what)).collect()
    };
    let (passed, failed) = (named("passed "), named("failed "));
    println!("Python {name}: {} passed, {} skipped", passed.len(), named("skipped ").len());
    assert!(failed.is_empty(), "failed with Python {name}: {failed:?}\n{report}");
    assert!(
        passed.len() >= least,
        "with Python {name}, {} tests passed where {least} did before: {passed:#?}\n{report}",
        passed.len()
    );
}

/// Runs a class of tests with a manager of its own.
fn run(python: &Python, class: &str) -> String {
    let manager = builder().start().unwrap();
    let output = python.script("cpython_suite.py", &manager).arg(class).output().unwrap();
    let mut report = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        report.push_str(
            &["\nfailed ", class, ": ", &output.status.to_string(), "\n", &error].concat(),
        );
    }
    report
}

macro_rules! suites {
    ($($test:ident: $version:expr, $least:expr;)*) => {
        $(#[test]
        fn $test() {
            suite($version, $least);
        })*
    };
}

suites! {
    python_2_7: (2, 7), 21;
    python_3_6: (3, 6), 35;
    python_3_7: (3, 7), 50;
    python_3_8: (3, 8), 50;
    python_3_9: (3, 9), 51;
    python_3_10: (3, 10), 51;
    python_3_11: (3, 11), 52;
    python_3_12: (3, 12), 52;
    python_3_13: (3, 13), 54;
}
