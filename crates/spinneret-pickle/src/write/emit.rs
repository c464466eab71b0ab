//! The opcodes for plain values, as each version of Python has them.

use crate::{Dialect, WriteError, names, opcode as op};

/// Appends opcodes for a version of Python.
pub(crate) struct Emit<'o> {
    out: &'o mut Vec<u8>,
    dialect: Dialect,
}

impl<'o> Emit<'o> {
    pub fn new(out: &'o mut Vec<u8>, dialect: Dialect) -> Self {
        Self { out, dialect }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn begin(&mut self) {
        self.ops(&[op::PROTO, self.dialect.protocol()]);
    }

    pub fn op(&mut self, opcode: u8) {
        self.out.push(opcode);
    }

    pub fn ops(&mut self, opcodes: &[u8]) {
        self.out.extend_from_slice(opcodes);
    }

    pub fn bool(&mut self, value: bool) {
        self.op(if value { op::NEWTRUE } else { op::NEWFALSE });
    }

    /// `long`: Python 2.7 is to have it as such.
    pub fn int(&mut self, value: i64, long: bool) {
        let python2 = self.dialect.is_python2();
        if long && python2 {
            self.long1(value);
        } else if let Ok(value) = u8::try_from(value) {
            self.ops(&[op::BININT1, value]);
        } else if let Ok(value) = u16::try_from(value) {
            let [low, high] = value.to_le_bytes();
            self.ops(&[op::BININT2, low, high]);
        } else if let Ok(value) = i32::try_from(value) {
            let [a, b, c, d] = value.to_le_bytes();
            self.ops(&[op::BININT, a, b, c, d]);
        } else if python2 {
            // Nothing else is an `int` there.
            self.op(op::INT);
            self.out.extend_from_slice(value.to_string().as_bytes());
            self.op(b'\n');
        } else {
            self.long1(value);
        }
    }

    fn long1(&mut self, value: i64) {
        let bytes = value.to_le_bytes();
        let bytes = significant(&bytes);
        self.ops(&[op::LONG1, bytes.len() as u8]);
        self.ops(bytes);
    }

    /// An integer from its bytes in two's complement, the lowest first.
    pub fn long(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let bytes = significant(bytes);
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.ops(&[op::LONG1, len]);
        } else {
            let len = i32::try_from(bytes.len())
                .map_err(|_| self.unrepresentable("an integer of more than 2 GiB"))?;
            self.op(op::LONG4);
            self.ops(&len.to_le_bytes());
        }
        self.ops(bytes);
        Ok(())
    }

    pub fn float(&mut self, value: f64) {
        let mut bytes = [op::BINFLOAT; 9];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        self.ops(&bytes);
    }

    /// Text: UTF-8, which may have surrogates.
    pub fn text(&mut self, text: &[u8]) -> Result<(), WriteError> {
        match (u8::try_from(text.len()), u32::try_from(text.len())) {
            (Ok(len), _) if self.dialect == Dialect::Python38 => {
                self.ops(&[op::SHORT_BINUNICODE, len]);
            }
            (_, Ok(len)) => {
                let [a, b, c, d] = len.to_le_bytes();
                self.ops(&[op::BINUNICODE, a, b, c, d]);
            }
            _ if self.dialect.is_python2() => {
                return Err(self.unrepresentable("text of more than 4 GiB"));
            }
            _ => {
                self.op(op::BINUNICODE8);
                self.ops(&(text.len() as u64).to_le_bytes());
            }
        }
        self.ops(text);
        Ok(())
    }

    /// What each Python has as its own `str`.
    pub fn native(&mut self, text: &[u8]) -> Result<(), WriteError> {
        if self.dialect.is_python2() { self.string(text) } else { self.text(text) }
    }

    /// What Python 2.7 has as `str`: text, if it can be.
    pub fn str2(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.dialect.is_python2() {
            self.string(bytes)
        } else if bytes.is_ascii() {
            self.text(bytes)
        } else {
            self.bytes(bytes)
        }
    }

    /// `str` of Python 2.7.
    fn string(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.ops(&[op::SHORT_BINSTRING, len]);
        } else {
            let len = i32::try_from(bytes.len())
                .map_err(|_| self.unrepresentable("a string of more than 2 GiB"))?;
            self.op(op::BINSTRING);
            self.ops(&len.to_le_bytes());
        }
        self.ops(bytes);
        Ok(())
    }

    /// `bytes`.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.dialect.is_python2() {
            return self.string(bytes);
        }
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.ops(&[op::SHORT_BINBYTES, len]);
        } else if let Ok(len) = u32::try_from(bytes.len()) {
            self.op(op::BINBYTES);
            self.ops(&len.to_le_bytes());
        } else {
            self.op(op::BINBYTES8);
            self.ops(&(bytes.len() as u64).to_le_bytes());
        }
        self.ops(bytes);
        Ok(())
    }

    pub fn bytearray(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.global("builtins", "bytearray");
        if self.dialect.is_python2() {
            // As Python 2.7 does it: whoever it passes this to shall know that it is no text.
            let text: String = bytes.iter().copied().map(char::from).collect();
            self.text(text.as_bytes())?;
            self.string(b"latin-1")?;
            self.ops(&[op::TUPLE2, op::REDUCE]);
        } else {
            self.bytes(bytes)?;
            self.ops(&[op::TUPLE1, op::REDUCE]);
        }
        Ok(())
    }

    /// A class or function of the standard library, by its names in Python 3.
    pub fn global(&mut self, module: &str, name: &str) {
        let (module, name) = match self.dialect {
            Dialect::Python2 => names::to_python2(module, name),
            _ => (module, name),
        };
        self.raw_global(module, name);
    }

    /// A class or function by the names that the reader has, which have no line breaks.
    pub fn raw_global(&mut self, module: &str, name: &str) {
        self.op(op::GLOBAL);
        for part in [module, name] {
            self.ops(part.as_bytes());
            self.op(b'\n');
        }
    }

    pub fn put(&mut self, index: u32) {
        if let Ok(index) = u8::try_from(index) {
            self.ops(&[op::BINPUT, index]);
        } else {
            self.op(op::LONG_BINPUT);
            self.ops(&index.to_le_bytes());
        }
    }

    pub fn get(&mut self, index: u32) {
        if let Ok(index) = u8::try_from(index) {
            self.ops(&[op::BINGET, index]);
        } else {
            self.op(op::LONG_BINGET);
            self.ops(&index.to_le_bytes());
        }
    }

    #[cold]
    fn unrepresentable(&self, what: &'static str) -> WriteError {
        WriteError::Unrepresentable { what, dialect: self.dialect }
    }
}

/// Two's complement without the bytes at the end that only repeat the sign; nothing is 0.
fn significant(bytes: &[u8]) -> &[u8] {
    match crate::int::trim(bytes) {
        [0] => &[],
        bytes => bytes,
    }
}
