//! Reading: the pickle machine, run symbolically.
//!
//! Each opcode takes at least one byte and makes at most three nodes, lengths are believed only
//! once that many bytes are there, and nothing recurses: so what is allocated is bounded by the
//! input.

mod cursor;
mod depth;
mod literal;
mod machine;
mod memo;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Limits, ReadError, Value,
    graph::{Change, Node},
    opcode as op,
    value::Repr,
};
use machine::Machine;

/// See [`Value::read`].
pub(crate) fn read(pickle: &Bytes, limits: &Limits) -> Result<Value, ReadError> {
    let (bytes, limit) = (pickle.len(), limits.bytes);
    if bytes > limit {
        return Err(ReadError::TooLong { bytes, limit });
    }
    let mut machine = Machine::new(pickle, limits);
    while step(&mut machine)? {}
    let (graph, root) = machine.finish()?;
    Ok(match graph.node(root) {
        Node::Foreign(place) => graph.foreign[place as usize].clone(),
        _ => Value(Repr::Node(Arc::new(graph), root)),
    })
}

/// Runs one opcode. False: it was the last one.
#[allow(clippy::too_many_lines)] // A table.
fn step(machine: &mut Machine<'_>) -> Result<bool, ReadError> {
    let m = machine;
    match m.opcode()? {
        op::PROTO => m.protocol()?,
        // Frames only group what is read at once.
        op::FRAME => {
            let len = m.len8()?;
            m.expect(len)?;
        }
        op::STOP => return Ok(false),

        op::NONE => m.push(Node::None)?,
        op::NEWTRUE => m.push(Node::Bool(true))?,
        op::NEWFALSE => m.push(Node::Bool(false))?,
        op::BININT1 => {
            let value = m.byte()?.into();
            m.push(Node::Int { value, long: false })?;
        }
        op::BININT2 => {
            let value = u16::from_le_bytes(m.array()?).into();
            m.push(Node::Int { value, long: false })?;
        }
        op::BININT => {
            let value = i32::from_le_bytes(m.array()?).into();
            m.push(Node::Int { value, long: false })?;
        }
        op::LONG1 => {
            let len = m.len1()?;
            m.long(len)?;
        }
        op::LONG4 => {
            let len = m.len4_signed()?;
            m.long(len)?;
        }
        op::BINFLOAT => {
            let value = f64::from_be_bytes(m.array()?);
            m.push(Node::Float(value))?;
        }

        op::SHORT_BINUNICODE => {
            let len = m.len1()?;
            m.text(len)?;
        }
        op::BINUNICODE => {
            let len = m.len4()?;
            m.text(len)?;
        }
        op::BINUNICODE8 => {
            let len = m.len8()?;
            m.text(len)?;
        }
        op::SHORT_BINSTRING => {
            let len = m.len1()?;
            m.string(len, Node::Str2)?;
        }
        op::BINSTRING => {
            let len = m.len4_signed()?;
            m.string(len, Node::Str2)?;
        }
        op::SHORT_BINBYTES => {
            let len = m.len1()?;
            m.string(len, Node::Bytes)?;
        }
        op::BINBYTES => {
            let len = m.len4()?;
            m.string(len, Node::Bytes)?;
        }
        op::BINBYTES8 => {
            let len = m.len8()?;
            m.string(len, Node::Bytes)?;
        }
        op::BYTEARRAY8 => {
            let len = m.len8()?;
            m.string(len, Node::ByteArray)?;
        }

        op::INT => m.int_literal()?,
        op::LONG => m.long_literal()?,
        op::FLOAT => m.float_literal()?,
        op::STRING => m.string_literal()?,
        op::UNICODE => m.text_literal()?,

        op::MARK => m.mark(),
        op::POP => m.discard()?,
        op::POP_MARK => m.discard_to_mark()?,
        op::DUP => m.duplicate()?,

        op::EMPTY_TUPLE => m.tuple(0)?,
        op::TUPLE1 => m.tuple(1)?,
        op::TUPLE2 => m.tuple(2)?,
        op::TUPLE3 => m.tuple(3)?,
        op::TUPLE => {
            let run = m.run_since_mark()?;
            m.push_with(Node::Tuple(run), run)?;
        }
        op::FROZENSET => {
            let run = m.run_since_mark()?;
            m.push_with(Node::FrozenSet(run), run)?;
        }
        op::EMPTY_LIST => m.push(Node::List)?,
        op::EMPTY_DICT => m.push(Node::Dict)?,
        op::EMPTY_SET => m.push(Node::Set)?,
        op::LIST => {
            let run = m.run_since_mark()?;
            m.push(Node::List)?;
            m.change(Change::Append(run))?;
        }
        op::DICT => {
            let run = m.run_since_mark()?;
            m.push(Node::Dict)?;
            m.change(Change::SetItems(run))?;
        }
        op::APPEND => {
            let run = m.run_of(1)?;
            m.change(Change::Append(run))?;
        }
        op::APPENDS => {
            let run = m.run_since_mark()?;
            m.change(Change::Append(run))?;
        }
        op::SETITEM => {
            let run = m.run_of(2)?;
            m.change(Change::SetItems(run))?;
        }
        op::SETITEMS => {
            let run = m.run_since_mark()?;
            m.change(Change::SetItems(run))?;
        }
        op::ADDITEMS => {
            let run = m.run_since_mark()?;
            m.change(Change::Add(run))?;
        }
        op::BUILD => {
            let state = m.pop()?;
            m.change(Change::Build(state))?;
        }

        op::GLOBAL => m.global()?,
        op::STACK_GLOBAL => m.stack_global()?,
        op::REDUCE => m.reduce()?,
        op::NEWOBJ => m.new_object()?,
        op::NEWOBJ_EX => m.new_object_ex()?,
        op::OBJ => m.old_object()?,
        op::INST => m.instance()?,

        op::MEMOIZE => {
            let index = m.memo.next_index();
            m.put(index)?;
        }
        op::BINPUT => {
            let index = m.byte()?.into();
            m.put(index)?;
        }
        op::LONG_BINPUT => {
            let index = u32::from_le_bytes(m.array()?).into();
            m.put(index)?;
        }
        op::PUT => {
            let index = m.index_literal()?;
            m.put(index)?;
        }
        op::BINGET => {
            let index = m.byte()?.into();
            m.get(index)?;
        }
        op::LONG_BINGET => {
            let index = u32::from_le_bytes(m.array()?).into();
            m.get(index)?;
        }
        op::GET => {
            let index = m.index_literal()?;
            m.get(index)?;
        }

        opcode => return Err(m.refuse(opcode)),
    }
    Ok(true)
}
