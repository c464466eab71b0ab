//! A place in the bytes of a pickle.

use crate::{ReadError, graph::Span};

/// Reads bytes in turn; every error tells the opcode that it belongs to.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// What is read next.
    at: usize,
    /// The opcode at hand.
    opcode: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, opcode: 0 }
    }

    pub fn opcode(&mut self) -> Result<u8, ReadError> {
        self.opcode = self.at;
        self.byte()
    }

    /// The error for what is wrong with the opcode at hand.
    #[cold]
    pub fn malformed(&self, what: &'static str) -> ReadError {
        ReadError::Malformed { what, offset: self.opcode }
    }

    pub fn offset(&self) -> usize {
        self.opcode
    }

    pub fn end(&self) -> Result<(), ReadError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(ReadError::Trailing { offset: self.at })
        }
    }

    #[cold]
    fn truncated(&self) -> ReadError {
        ReadError::Truncated { offset: self.opcode }
    }

    /// Makes sure that so many bytes are there.
    pub fn expect(&self, len: usize) -> Result<(), ReadError> {
        if len <= self.bytes.len() - self.at { Ok(()) } else { Err(self.truncated()) }
    }

    pub fn byte(&mut self) -> Result<u8, ReadError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.truncated())?;
        self.at += 1;
        Ok(byte)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let bytes = self.bytes[self.at..].first_chunk().ok_or_else(|| self.truncated())?;
        self.at += N;
        Ok(*bytes)
    }

    pub fn span(&mut self, len: usize) -> Result<(Span, &'a [u8]), ReadError> {
        self.expect(len)?;
        let start = self.at;
        self.at += len;
        Ok((Span { start, len }, &self.bytes[start..self.at]))
    }

    /// The rest of the line, without its end.
    pub fn line(&mut self) -> Result<(Span, &'a [u8]), ReadError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| self.truncated())?;
        let line = self.span(len);
        self.at += 1;
        line
    }

    pub fn len1(&mut self) -> Result<usize, ReadError> {
        self.byte().map(usize::from)
    }

    pub fn len4(&mut self) -> Result<usize, ReadError> {
        let len = u32::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.truncated())
    }

    /// A length that Python writes as a signed number.
    pub fn len4_signed(&mut self) -> Result<usize, ReadError> {
        let len = i32::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.malformed("a length is negative"))
    }

    pub fn len8(&mut self) -> Result<usize, ReadError> {
        let len = u64::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.truncated())
    }
}
