//! A value as text that tells everything about it that can be told, so that equal texts mean equal
//! values.

use std::{collections::HashMap, fmt::Write as _};

use spinneret_pickle::{Change, Creation, Dialect, Identity, Items, ValueRef, View};

/// Describes a value as it is after it was written for that dialect.
pub fn describe(value: ValueRef<'_>, dialect: Dialect) -> String {
    let mut describer = Describer {
        dialect,
        out: String::new(),
        seen: HashMap::new(),
        tasks: vec![Task::One(value)],
    };
    while let Some(task) = describer.tasks.pop() {
        match task {
            Task::One(value) => describer.one(value),
            Task::Text(text) => describer.out.push_str(text),
        }
    }
    describer.out
}

/// What is still to be told; not by recursion, since values may be deep.
enum Task<'a> {
    One(ValueRef<'a>),
    Text(&'static str),
}

struct Describer<'a> {
    dialect: Dialect,
    out: String,
    /// What may be referred to again, numbered.
    seen: HashMap<Identity, usize>,
    tasks: Vec<Task<'a>>,
}

impl<'a> Describer<'a> {
    fn bytes(&mut self, kind: char, bytes: &[u8]) {
        self.out.push(kind);
        for byte in bytes {
            let _ = write!(self.out, "{byte:02x}");
        }
    }

    fn many(&mut self, values: impl IntoIterator<Item = ValueRef<'a>>) {
        let mut tasks = vec![Task::Text("[")];
        for value in values {
            tasks.extend([Task::One(value), Task::Text(", ")]);
        }
        tasks.push(Task::Text("]"));
        self.tasks.extend(tasks.into_iter().rev());
    }

    fn container(&mut self, kind: &str, items: Items<'a>) {
        self.out.push_str(kind);
        self.many(items);
    }

    fn one(&mut self, value: ValueRef<'a>) {
        let python2 = self.dialect.is_python2();
        match value.view() {
            View::None => return self.out.push_str("None"),
            View::Bool(bool) => return self.out.push_str(if bool { "True" } else { "False" }),
            View::Int(int) => return write!(self.out, "i{int}").unwrap(),
            View::Float(float) => return write!(self.out, "f{:x}", float.to_bits()).unwrap(),
            View::Text(text) => return self.bytes('t', text.as_bytes()),
            View::Str2(bytes) if python2 => return self.bytes('s', bytes),
            View::Str2(bytes) if bytes.is_ascii() => return self.bytes('t', bytes),
            View::Str2(bytes) => return self.bytes('b', bytes),
            View::Bytes(bytes) => return self.bytes(if python2 { 's' } else { 'b' }, &bytes),
            View::Global(global) => return write!(self.out, "<{global}>").unwrap(),
            // There is but one.
            View::Tuple(items) if items.len() == 0 => return self.out.push_str("()"),
            _ => {}
        }
        let number = self.seen.len();
        if let Some(seen) = self.seen.get(&value.identity()) {
            return write!(self.out, "@{seen}").unwrap();
        }
        self.seen.insert(value.identity(), number);
        let _ = write!(self.out, "#{number}=");
        match value.view() {
            View::ByteArray(bytes) => self.bytes('a', &bytes),
            View::Tuple(items) => self.container("tuple", items),
            View::List(items) => self.container("list", items),
            View::Set(items) => self.container("set", items),
            View::FrozenSet(items) => self.container("frozenset", items),
            View::Dict(pairs) => {
                self.out.push_str("dict");
                self.many(pairs.flat_map(|(key, value)| [key, value]));
            }
            View::Complex { real, imaginary } => {
                let _ =
                    write!(self.out, "complex({:x}, {:x})", real.to_bits(), imaginary.to_bits());
            }
            View::Slice { start, stop, step } => {
                self.out.push_str("slice");
                self.many([start, stop, step]);
            }
            View::Range { start, stop, step } => {
                let _ = write!(self.out, "range({start}, {stop}, {step})");
            }
            View::Array(array) => {
                let _ = write!(self.out, "array({array:?})");
            }
            View::Object(object) => {
                self.out.push_str("object");
                let mut parts = Vec::new();
                match object.creation() {
                    Creation::Call { callable, args } => {
                        self.out.push_str(" called");
                        parts.extend([callable, args]);
                    }
                    Creation::New { class, args, kwargs } => {
                        self.out.push_str(" new");
                        parts.extend([class, args]);
                        parts.extend(kwargs);
                    }
                    Creation::OldStyle { class, args } => {
                        self.out.push_str(" old");
                        parts.push(class);
                        parts.extend(args);
                    }
                    _ => self.out.push_str(" unnamed"),
                }
                let mut tasks = Vec::new();
                for part in parts {
                    tasks.extend([Task::Text(" "), Task::One(part)]);
                }
                for change in object.changes() {
                    match change {
                        Change::Append(items) => {
                            tasks
                                .extend(items.flat_map(|item| [Task::Text(" +"), Task::One(item)]));
                        }
                        Change::Add(items) => {
                            tasks
                                .extend(items.flat_map(|item| [Task::Text(" |"), Task::One(item)]));
                        }
                        Change::SetItems(pairs) => tasks.extend(pairs.flat_map(|(key, value)| {
                            [Task::Text(" ["), Task::One(key), Task::Text("]="), Task::One(value)]
                        })),
                        Change::State(state) => {
                            tasks.extend([Task::Text(" state "), Task::One(state)]);
                        }
                        _ => {}
                    }
                }
                tasks.push(Task::Text("."));
                self.tasks.extend(tasks.into_iter().rev());
            }
            other => panic!("{other:?}"),
        }
    }
}
