//! Python itself, every version that is there: what it pickles is read and written, and it finds
//! that the same; what is made here it reads and pickles again, and that is found the same here.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::env;

use bytes::Bytes;
use common::{
    describe::describe,
    interpreters::{self, Python},
};
use spinneret_pickle::{Dialect, Limits, Value};

/// Objects for each pair of versions; more with `SPINNERET_PICKLE_OBJECTS`.
fn count() -> usize {
    env::var("SPINNERET_PICKLE_OBJECTS").map_or(100, |count| count.parse().unwrap())
}

fn name(python: &Python) -> String {
    format!("{}.{}", python.version.0, python.version.1)
}

/// Where two descriptions begin to differ.
fn difference(expected: &str, found: &str) -> String {
    let same = expected.bytes().zip(found.bytes()).take_while(|(one, other)| one == other).count();
    let shown =
        |text: &str| text.chars().skip(same.saturating_sub(60)).take(200).collect::<String>();
    format!("expected\n{}\nfound\n{}", shown(expected), shown(found))
}

/// What one version writes is carried to another one, whose reader is told how to take strings.
/// Returns how many pickles there were.
fn carry(
    from: &Python,
    which: &str,
    strings: [&str; 2],
    to: &Python,
    dialects: &[Dialect],
) -> usize {
    let seed = env::var("SPINNERET_PICKLE_SEED").unwrap_or_else(|_| "1".into());
    let (count, mut carried) = (count(), 0);
    let mut writer = from.exchange(&["dump", &seed, &count.to_string(), which, strings[0]]);
    let mut reader = to.exchange(&["load", strings[1]]);
    for object in 0..count {
        for _ in 0..writer.receive_count() {
            let description = writer.receive_text();
            let pickle = Bytes::from(writer.receive());
            let value = Value::read(&pickle, &Limits::default());
            let value = value.unwrap_or_else(|error| panic!("{object}: {error}: {pickle:?}"));
            for value in [value.detach(), value] {
                for &dialect in dialects {
                    let written = value.write(dialect);
                    let written = written.unwrap_or_else(|error| panic!("{object}: {error}"));
                    reader.send(&written);
                    let found = reader.receive_text();
                    assert!(
                        found == description,
                        "object {object} of Python {} for {} in the dialect of {dialect}: {}\n{}\n{}",
                        name(from),
                        name(to),
                        difference(&description, &found),
                        pickle.escape_ascii(),
                        written.escape_ascii()
                    );
                    carried += 1;
                }
            }
        }
    }
    writer.end();
    reader.end();
    carried
}

#[test]
fn every_python_finds_its_objects_the_same() {
    let pythons = interpreters::all();
    assert!(!pythons.is_empty(), "there is no Python");
    for python in &pythons {
        let dialects = match python.dialect() {
            Dialect::Python2 => vec![Dialect::Python2],
            _ => vec![Dialect::Python3, Dialect::Python38],
        };
        let carried = carry(python, "all", ["own", "own"], python, &dialects);
        println!("Python {}: {carried} pickles", name(python));
        assert!(carried > count());
    }
}

#[test]
fn objects_are_carried_between_old_and_new_pythons() {
    let pythons = interpreters::all();
    // The first of each dialect, and the last of all.
    let mut ends: Vec<&Python> = Vec::new();
    for python in &pythons {
        if ends.last().is_none_or(|last| last.dialect() != python.dialect()) {
            ends.push(python);
        }
    }
    ends.extend(pythons.last().filter(|last| ends.iter().all(|end| end.version != last.version)));
    if ends.len() < 2 {
        println!("only {} Python is there: none to carry anything to", ends.len());
    }
    for from in &ends {
        for to in ends.iter().filter(|to| to.version != from.version) {
            let strings = match (from.dialect(), to.dialect()) {
                (Dialect::Python2, _) => ["mixed", "mixed"],
                (_, Dialect::Python2) => ["bytes", "bytes"],
                _ => ["own", "own"],
            };
            let carried = carry(from, "common", strings, to, &[to.dialect()]);
            println!("from Python {} to {}: {carried} pickles", name(from), name(to));
            assert!(carried > count());
        }
    }
}

/// Random numbers, the same each time (splitmix64).
struct Random {
    state: u64,
    /// How many items dicts have at most; Python 2 forgets their order.
    items: u64,
}

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn bytes(&mut self, limit: u64) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.below(256) as u8).collect()
    }

    /// What may be a key: numbers are far apart, or Python takes two keys for one.
    fn key(&mut self) -> Value {
        match self.below(3) {
            0 => self.text(),
            1 => Value::int(self.below(u64::MAX).cast_signed()),
            _ => Value::tuple([self.text(), Value::none()]),
        }
    }

    fn text(&mut self) -> Value {
        let kinds = [32..127, 0..256, 0x400..0x500, 0x1_f600..0x1_f650];
        let kind = kinds[self.below(4) as usize].clone();
        let length = [1, 5, 20, 300][self.below(4) as usize];
        let chars =
            (0..length).map(|_| kind.start + self.below(u64::from(kind.end - kind.start)) as u32);
        // A number, so that it is like no other.
        let text = chars.map(|code| char::from_u32(code).unwrap()).collect::<String>();
        Value::text(format!("{text}{}", self.state))
    }

    fn value(&mut self, depth: u32) -> Value {
        let kinds = if depth == 0 { 9 } else { 16 };
        match self.below(kinds) {
            0 => Value::none(),
            1 => Value::bool(self.below(2) == 0),
            2 => Value::int(self.below(1000).cast_signed() - 500),
            3 => Value::int(self.below(u64::MAX).cast_signed()),
            4 => Value::long(&self.bytes(300)),
            5 => Value::float(f64::from_bits(self.below(u64::MAX))),
            6 | 7 => self.text(),
            8 => Value::bytes(self.bytes(400)),
            9 => {
                Value::tuple((0..self.below(6)).map(|_| self.value(depth - 1)).collect::<Vec<_>>())
            }
            10 | 11 => {
                Value::list((0..self.below(6)).map(|_| self.value(depth - 1)).collect::<Vec<_>>())
            }
            12 => {
                let count = self.below(self.items + 1);
                let pairs = (0..count).map(|_| (self.key(), self.value(depth - 1)));
                Value::dict(pairs.collect::<Vec<_>>())
            }
            // Of one element, since nobody knows the order of several.
            13 => Value::set([self.key()]),
            14 => Value::bytearray(self.bytes(400)),
            _ => {
                let shared = self.value(depth - 1);
                Value::list([shared.clone(), shared])
            }
        }
    }
}

#[test]
fn what_is_made_here_comes_back_from_every_python() {
    for python in interpreters::all() {
        let dialect = python.dialect();
        let mut again = python.exchange(&["again"]);
        let protocols = again.receive_count();
        let items = if dialect.is_python2() { 1 } else { 5 };
        let mut random = Random { state: 7, items };
        for _ in 0..count() {
            let value = random.value(4);
            again.send(&value.write(dialect).unwrap());
            for protocol in 0..protocols {
                let back = Bytes::from(again.receive());
                let found = Value::read(&back, &Limits::default()).unwrap();
                let (expected, found) =
                    (describe(value.as_ref(), dialect), describe(found.as_ref(), dialect));
                assert!(
                    expected == found,
                    "Python {}, protocol {protocol}: {}\n{}",
                    name(&python),
                    difference(&expected, &found),
                    back.escape_ascii()
                );
            }
        }
        again.end();
        println!("Python {}: {} pickles", name(&python), count() * protocols);
    }
}
