//! `repr()`.

use std::{borrow::Cow, collections::HashSet, fmt::Write};

use super::{array_items, equal::elements, quote, sequence::class_name};
use crate::{Array, Dialect, Identity, Int, Items, Object, Pairs, ValueRef, View};

/// Bytes of a text, at most: an object whose parts share one another may be endless in writing.
const LONGEST: usize = 8 << 20;

/// Bytes of an integer that is written in decimal, at most, which are the 4300 digits that Python
/// writes since 3.11: more take time that grows with their square.
const LONGEST_DECIMAL: usize = 1785;

/// A value as Python writes it: the expression that makes it, where there is one.
///
/// Sets are in the order in which they were made, where Python has that of their hashes. Of objects
/// of unknown classes the class is shown. Integers of more than 4300 digits are in hexadecimal. What
/// would be longer than 8 MiB ends with `...`.
pub fn repr(value: ValueRef<'_>, dialect: Dialect) -> String {
    let mut writer = Writer { dialect, out: String::new(), open: HashSet::new() };
    let mut work = vec![Step::Value(value)];
    while let Some(step) = work.pop() {
        if writer.out.len() > LONGEST {
            writer.out.push_str("...");
            break;
        }
        match step {
            Step::Value(value) => writer.value(value, &mut work),
            Step::Text(text) => writer.out.push_str(text),
            Step::Close(identity) => _ = writer.open.remove(&identity),
        }
    }
    writer.out
}

/// What is still to be written, the next one last.
enum Step<'a> {
    Value(ValueRef<'a>),
    Text(&'static str),
    /// A container is complete.
    Close(Identity),
}

struct Writer {
    dialect: Dialect,
    out: String,
    /// The containers that are being written.
    open: HashSet<Identity>,
}

impl Writer {
    fn value<'a>(&mut self, value: ValueRef<'a>, work: &mut Vec<Step<'a>>) {
        let python2 = self.dialect.is_python2();
        let out = &mut self.out;
        match value.view() {
            View::None => out.push_str("None"),
            View::Bool(bool) => out.push_str(if bool { "True" } else { "False" }),
            View::Int(int) => {
                out.push_str(&number(int));
                if python2 && int.is_long() {
                    out.push('L');
                }
            }
            View::Float(float) => quote::float(out, float),
            View::Complex { real, imaginary } => quote::complex(out, real, imaginary),
            View::Text(text) if python2 => quote::unicode2(out, text.as_bytes()),
            View::Text(text) => quote::text(out, text.as_bytes()),
            View::Str2(bytes) if python2 => quote::bytes(out, bytes),
            View::Str2(bytes) if bytes.is_ascii() => quote::text(out, bytes),
            View::Str2(bytes) => self.bytes(bytes),
            View::Bytes(bytes) => self.bytes(&bytes),
            View::ByteArray(bytes) => {
                out.push_str("bytearray(b");
                quote::bytearray(out, &bytes);
                out.push(')');
            }
            View::Tuple(items) if items.len() == 1 => self.items(value, ["(", ",)"], items, work),
            View::Tuple(items) => self.items(value, ["(", ")"], items, work),
            View::List(items) => self.items(value, ["[", "]"], items, work),
            View::Dict(pairs) => self.pairs(value, pairs, work),
            View::Set(items) => {
                let brackets = if python2 { ["set([", "])"] } else { ["{", "}"] };
                self.set(value, "set()", brackets, items, work);
            }
            View::FrozenSet(items) => {
                let brackets = if python2 { ["frozenset([", "])"] } else { ["frozenset({", "})"] };
                self.set(value, "frozenset()", brackets, items, work);
            }
            View::Slice { start, stop, step } => {
                out.push_str("slice(");
                let parts = [start, stop, step].map(Step::Value);
                separated(parts, ")", work);
            }
            View::Range { start, stop, step } => {
                let one = (start.as_i64(), step.as_i64());
                let [start, stop, step] = [start, stop, step].map(number);
                // Writing to a string cannot fail.
                let name = if python2 { "xrange" } else { "range" };
                let _ = match one {
                    (Some(0), Some(1)) if python2 => write!(out, "{name}({stop})"),
                    (_, Some(1)) => write!(out, "{name}({start}, {stop})"),
                    _ => write!(out, "{name}({start}, {stop}, {step})"),
                };
            }
            View::Array(array) => self.array(&array),
            View::Global(global) => {
                let kind = if python2 && global.module == "builtins" { "type" } else { "class" };
                let _ = write!(out, "<{kind} '{}'>", class_name(global));
            }
            View::Object(object) => self.object(&object, work),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if !self.dialect.is_python2() {
            self.out.push('b');
        }
        quote::bytes(&mut self.out, bytes);
    }

    /// Whether a container is not inside itself; then it is open until the work comes to its end.
    fn enters<'a>(&mut self, value: ValueRef<'a>, work: &mut Vec<Step<'a>>) -> bool {
        let entered = self.open.insert(value.identity());
        if entered {
            work.push(Step::Close(value.identity()));
        }
        entered
    }

    fn items<'a>(
        &mut self,
        value: ValueRef<'a>,
        [before, behind]: [&'static str; 2],
        items: Items<'a>,
        work: &mut Vec<Step<'a>>,
    ) {
        self.out.push_str(before);
        if self.enters(value, work) {
            separated(items.map(Step::Value), behind, work);
        } else {
            self.out.push_str("...");
            self.out.push_str(behind.trim_start_matches(','));
        }
    }

    fn set<'a>(
        &mut self,
        value: ValueRef<'a>,
        empty: &'static str,
        brackets: [&'static str; 2],
        items: Items<'a>,
        work: &mut Vec<Step<'a>>,
    ) {
        if items.len() == 0 {
            let python2 = self.dialect.is_python2();
            self.out.push_str(if python2 { empty.trim_end_matches(')') } else { empty });
            self.out.push_str(if python2 { "[])" } else { "" });
            return;
        }
        // Each element once. What cannot be in a set is no set of Python's; it is shown as it is.
        let many = elements(items.clone()).map(|elements| (elements.len(), elements));
        match many {
            Some((count, mut left)) if count < items.len() => {
                let unique: Vec<_> = items
                    .filter(|item| {
                        super::Key::new(item.to_value()).is_ok_and(|key| left.remove(&key))
                    })
                    .collect();
                self.out.push_str(brackets[0]);
                let unique = unique.into_iter().map(Step::Value);
                separated(unique, brackets[1], work);
            }
            _ => self.items(value, brackets, items, work),
        }
    }

    fn pairs<'a>(&mut self, value: ValueRef<'a>, pairs: Pairs<'a>, work: &mut Vec<Step<'a>>) {
        if !self.enters(value, work) {
            self.out.push_str("{...}");
            return;
        }
        self.out.push('{');
        let unique = super::sequence::unique_pairs(pairs);
        work.push(Step::Text("}"));
        let from = work.len();
        for (key, value) in unique {
            if work.len() > from {
                work.push(Step::Text(", "));
            }
            work.extend([Step::Value(key), Step::Text(": "), Step::Value(value)]);
        }
        work[from..].reverse();
    }

    fn array(&mut self, array: &Array<'_>) {
        let _ = write!(self.out, "array('{}'", array.typecode);
        let text = matches!(array.typecode, 'u' | 'w' | 'c');
        match array_items(array) {
            Some(items) if items.is_empty() => {}
            Some(items) if text => {
                let text: Vec<u8> = items
                    .iter()
                    .flat_map(|item| match item.view() {
                        View::Text(text) => text.as_bytes().to_vec(),
                        View::Str2(bytes) => bytes.to_vec(),
                        _ => Vec::new(),
                    })
                    .collect();
                self.out.push_str(", ");
                match array.typecode {
                    'c' => quote::bytes(&mut self.out, &text),
                    _ if self.dialect.is_python2() => quote::unicode2(&mut self.out, &text),
                    _ => quote::text(&mut self.out, &text),
                }
            }
            Some(items) => {
                self.out.push_str(", [");
                for (index, item) in items.iter().enumerate() {
                    if self.out.len() > LONGEST {
                        break;
                    }
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    let item = repr(item.as_ref(), self.dialect);
                    self.out.push_str(&item);
                }
                self.out.push(']');
            }
            None => self.out.push_str(", ..."),
        }
        self.out.push(')');
    }

    fn object<'a>(&mut self, object: &Object<'a>, work: &mut Vec<Step<'a>>) {
        let Some(class) = object.class() else {
            return self.out.push_str("<object>");
        };
        if class.is("multiprocessing.managers", "RebuildProxy") && self.proxy(object) {
            return;
        }
        // Exceptions, whose arguments are all there is to them.
        let is_exception = class.module == "builtins"
            && ["Error", "Exception", "Iteration", "Exit", "Warning", "Interrupt"]
                .iter()
                .any(|end| class.name.ends_with(end));
        match object.args() {
            Some(args) if is_exception => {
                self.out.push_str(class.name);
                self.out.push('(');
                let one = args.len() == 1 && self.dialect != Dialect::Python38;
                let behind = if one { ",)" } else { ")" };
                separated(args.map(Step::Value), behind, work);
            }
            _ => _ = write!(self.out, "<{} object>", class_name(class)),
        }
    }

    /// A proxy of a shared object: `(rebuild function, token, ..)`, of which the token's state is
    /// its type, address and ident. False if it is not such.
    fn proxy(&mut self, object: &Object<'_>) -> bool {
        let token = object.args().and_then(|mut args| Some((args.next()?, args.next()?)));
        let Some((kind, View::Object(token))) = token.map(|(kind, token)| (kind, token.view()))
        else {
            return false;
        };
        let Some(mut state) = token.state().and_then(ValueRef::items) else { return false };
        let parts = (kind.as_global(), state.next(), state.nth(1));
        let (Some(kind), Some(typeid), Some(ident)) = parts else { return false };
        let (Some(typeid), Some(ident)) = (typeid.as_str(), ident.as_str()) else { return false };
        let name = match kind.name {
            "AutoProxy" => Cow::Owned(format!("AutoProxy[{typeid}]")),
            name => Cow::Borrowed(name),
        };
        let _ = write!(self.out, "<{name} object, typeid '{typeid}' at 0x{ident}>");
        true
    }
}

/// An integer in digits.
fn number(int: Int<'_>) -> String {
    if int.significant_len() > LONGEST_DECIMAL {
        format!("{:#x}", int.to_bigint())
    } else {
        int.to_string()
    }
}

/// Has the steps done in their order, with commas between, and text behind.
fn separated<'a>(
    steps: impl IntoIterator<Item = Step<'a>>,
    behind: &'static str,
    work: &mut Vec<Step<'a>>,
) {
    work.push(Step::Text(behind));
    let from = work.len();
    for step in steps {
        if work.len() > from {
            work.push(Step::Text(", "));
        }
        work.push(step);
    }
    work[from..].reverse();
}
