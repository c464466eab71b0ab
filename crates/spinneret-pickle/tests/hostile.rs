//! Bytes from whoever wants to do harm: none is more than refused.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use common::check::holds;
use spinneret_pickle::{Dialect, Limits, ReadError, Value, from_bytes};

/// Counts what this thread has allocated and not yet freed.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // While a thread ends its counters may be gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: all is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a call returns, and the most bytes that it had allocated at a time.
fn allocated<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = call();
    (result, usize::try_from(MOST.get() - before).unwrap())
}

fn read(pickle: &[u8]) -> Result<Value, ReadError> {
    Value::read(&Bytes::copy_from_slice(pickle), &Limits::default())
}

/// Pickles with every opcode there is.
fn samples() -> Vec<Vec<u8>> {
    [
        &b"\x80\x04\x95\x23\0\0\0\0\0\0\0(N\x8c\x06create\x94\x8c\x0eget_task_queue\x94\x85\x94}\x94t\x94."[..],
        b"\x80\x02(U\x0c7f19fbcb6190q\x01U\x03getq\x02\x88\x85q\x03}q\x04U\x07timeoutq\x05K\x05sq\x06tq\x07.",
        b"\x80\x02U\x06#ERRORq\x01cQueue\nEmpty\nq\x02)Rq\x03\x86q\x04.",
        b"\x80\x02]q\x00h\x00\x85q\x01a0h\x01.",
        b"(lp0\nI1\naL2L\naF1.5\naVx\\u0431\np1\naS'a\\x00b'\nag1\naI01\na(dp2\nI1\nI2\nsa.",
        b"(I1\nI2\nl.",
        b"(I1\nI2\nd.",
        b"(I1\nimodule\nClass\np0\n(dp1\nS'a'\ng0\nsb.",
        b"(cmodule\nOld\nK\x01oq\x00}U\x01ah\x00sb.",
        b"\x80\x04\x8c\x01m\x94\x8c\x01C\x94\x93)}\x8c\x01kK\x01s\x92\x94]\x94h\x02ab.",
        b"\x80\x04\x8f\x94(K\x01M\x00\x01J\xff\xff\xff\xff\x90(C\x01aB\x01\0\0\0b\x91G\x3f\xf0\0\0\0\0\0\0\x87.",
        b"\x80\x05\x96\x03\0\0\0\0\0\0\0abc\x8e\x01\0\0\0\0\0\0\0x\x8d\x01\0\0\0\0\0\0\0y\x87.",
        b"\x80\x04cm\nC\n)\x81(K\x01K\x02e(\x8c\x01aK\x01u}b(K\x01\x90.",
        b"\x80\x03(K\x01K\x02K\x03K\x04t2\x86q\xffr\x00\x01\0\0j\x00\x01\0\0\x85(00(N1.",
        b"\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01\x8b\x02\0\0\0\xff\xffT\x02\0\0\0ab\x87.",
        b"\x80\x03cbuiltins\nset\n](K\x01e\x85Rcbuiltins\nfrozenset\n](K\x01e\x85R\x86.",
        b"\x80\x02c_codecs\nencode\nX\x02\0\0\0\xc3\xbfX\x06\0\0\0latin1\x86R.",
        b"\x80\x04cbuiltins\nslice\nK\x01NN\x87Rcbuiltins\nrange\nK\0K\x05K\x01\x87R\x86.",
        b"\x80\x02c__builtin__\nbytearray\nX\x01\0\0\0aU\x07latin-1\x86R.",
        b"\x80\x04carray\narray\n\x8c\x01iC\x04\x01\0\0\0\x86R.",
        b"\x80\x04\x8c\x01m\x8c\x0bOuter.Inner\x93cbuiltins\nTimeoutError\n\x8c\x02no\x85R\x86.",
    ]
    .map(<[u8]>::to_vec)
    .into()
}

#[test]
fn samples_are_what_they_are_meant_to_be() {
    for sample in samples() {
        let read = read(&sample);
        assert!(read.is_ok(), "{}: {read:?}", sample.escape_ascii());
        assert!(holds(&sample));
    }
}

#[test]
fn a_pickle_that_is_cut_anywhere_is_refused() {
    for sample in samples() {
        for len in 0..sample.len() {
            assert!(read(&sample[..len]).is_err(), "{}", sample[..len].escape_ascii());
        }
    }
}

#[test]
fn a_pickle_with_any_byte_changed_is_read_rightly_or_refused() {
    let (mut good, mut bad) = (0, 0);
    for sample in samples() {
        for at in 0..sample.len() {
            for byte in (0..=255).step_by(if at % 16 == 0 { 1 } else { 23 }) {
                let mut changed = sample.clone();
                changed[at] = byte;
                if holds(&changed) { good += 1 } else { bad += 1 }
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} are read, {bad} are not");
}

#[test]
fn a_claim_of_gigabytes_costs_nothing() {
    for claim in [
        &b"\x80\x03B\xff\xff\xff\xff."[..],
        b"\x80\x03X\xff\xff\xff\xff.",
        b"\x80\x02T\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x04\x8d\0\0\0\0\x01\0\0\0.",
        b"\x80\x05\x96\0\0\0\0\x01\0\0\0.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02T\xff\xff\xff\xff.",
    ] {
        let pickle = Bytes::from_static(claim);
        let (result, most) = allocated(|| Value::read(&pickle, &Limits::default()));
        let error = result.unwrap_err();
        assert!(
            matches!(error, ReadError::Truncated { .. } | ReadError::Malformed { .. }),
            "{error}"
        );
        assert!(most < 4096, "{most} bytes for {}", claim.escape_ascii());
    }
}

#[test]
fn a_huge_memo_number_costs_nothing() {
    for pickle in [&b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86."[..], b"Np18446744073709551615\n."] {
        let pickle = Bytes::from_static(pickle);
        let (result, most) = allocated(|| Value::read(&pickle, &Limits::default()));
        assert!(result.is_ok());
        assert!(most < 4096, "{most} bytes");
    }
}

/// What the documentation of [`Limits`] promises.
#[test]
fn memory_is_bounded_by_the_input() {
    let size = 1 << 20;
    let repeated = |part: &[u8]| part.repeat(size / part.len());
    for (name, pickle) in [
        ("lists", repeated(b"]")),
        ("marks", repeated(b"(")),
        ("tuples of one", [b"N".to_vec(), repeated(b"\x85")].concat()),
        ("lists in lists", repeated(b"](")),
        ("duplicates", [b"N".to_vec(), repeated(b"2")].concat()),
        ("memo", repeated(b"N\x94")),
        ("names", repeated(b"c\n\n")),
        ("texts", repeated(b"\x8c\x00")),
        ("literals", repeated(b"V\n")),
        ("many in a list", [b"](".to_vec(), repeated(b"K\x01"), b"e.".to_vec()].concat()),
        ("one by one", [b"]".to_vec(), repeated(b"Na"), b".".to_vec()].concat()),
        ("changes", [b"cm\nC\n)\x81".to_vec(), repeated(b"NaNb"), b".".to_vec()].concat()),
        ("old objects", [b"(".to_vec(), repeated(b"(im\nC\n")].concat()),
    ] {
        let pickle = Bytes::from(pickle);
        let (_, most) = allocated(|| Value::read(&pickle, &Limits::default()));
        // A vector that grows has its old self beside it.
        assert!(most < 100 * size, "{name}: {} bytes for each", most / size);
    }
}

#[test]
fn depth_has_a_limit_that_no_detour_gets_around() {
    let limits = Limits { depth: 100, ..Limits::default() };
    let result = |pickle: Vec<u8>| Value::read(&pickle.into(), &limits).map(drop);
    let too_deep = Err(ReadError::TooDeep { limit: 100 });
    for (depth, expected) in [(100, Ok(())), (101, too_deep.clone())] {
        // [[[..]]], inside out.
        assert_eq!(
            result([b"]".repeat(depth), b"a".repeat(depth - 1), b".".to_vec()].concat()),
            expected
        );
        // (((..),),)
        assert_eq!(
            result([b")".to_vec(), b"\x85".repeat(depth - 1), b".".to_vec()].concat()),
            expected
        );
        // Outside in: each list gets the next one when it is itself in another already.
        let mut pickle = b"]\x94".to_vec();
        for level in 1..depth as u8 {
            pickle.extend_from_slice(b"]\x94h");
            pickle.extend_from_slice(&[level - 1, b'h', level, b'a', b'0', b'0']);
        }
        pickle.push(b'.');
        assert_eq!(result(pickle), expected);
    }
}

#[test]
fn a_very_deep_value_overflows_no_stack() {
    let deep = |open: &[u8], close: &[u8]| {
        let depth = 50_000;
        [open.repeat(depth), close.repeat(depth - 1), b".".to_vec()].concat()
    };
    let limits = Limits { depth: usize::MAX, ..Limits::default() };
    for pickle in [
        deep(b"]", b"a"),
        [b")".to_vec(), b"\x85".repeat(50_000), b".".to_vec()].concat(),
        deep(b"cm\nC\n)\x81", b"b"),
    ] {
        let value = Value::read(&pickle.into(), &limits).unwrap();
        for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
            let written = value.write(dialect).unwrap();
            Value::read(&written.into(), &limits).unwrap();
        }
        let _ = (value.detach(), format!("{value:?}"));
    }
    // Put together level by level, and dropped.
    let mut value = Value::none();
    for _ in 0..50_000 {
        value = Value::list([value]);
    }
    assert!(value.write(Dialect::Python38).unwrap().len() > 100_000);
}

#[test]
fn limits_are_kept() {
    let limits = Limits { bytes: 10, ..Limits::default() };
    let error = Value::read(&Bytes::from_static(b"\x80\x02](NNNNNNe."), &limits).unwrap_err();
    assert_eq!(error, ReadError::TooLong { bytes: 12, limit: 10 });
    let limits = Limits { nodes: 6, ..Limits::default() };
    let error = Value::read(&Bytes::from_static(b"\x80\x02](NNNNNNe."), &limits).unwrap_err();
    assert_eq!(error, ReadError::TooManyNodes { limit: 6 });
}

#[test]
fn a_number_with_very_many_digits_is_refused() {
    let number = |digits: usize| [b"L".to_vec(), b"7".repeat(digits), b"L\n.".to_vec()].concat();
    assert!(read(&number(4300)).is_ok());
    assert!(matches!(read(&number(4301)), Err(ReadError::Malformed { .. })));
}

#[test]
fn what_refers_to_itself_a_thousandfold_takes_bounded_memory() {
    // Each list has the one before twice.
    let mut pickle = b"]q\x00".to_vec();
    for level in 0..200_u8 {
        pickle.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', b'q', level + 1]);
    }
    pickle.push(b'.');
    let pickle = Bytes::from(pickle);
    let (value, most) = allocated(|| Value::read(&pickle, &Limits::default()).unwrap());
    assert!(most < 100 * pickle.len());
    let written = value.write(Dialect::Python38).unwrap();
    assert!(written.len() <= pickle.len() + 1000);
    let (result, _) = allocated(|| from_bytes::<serde_json::Value>(&pickle));
    assert!(result.is_err());
}
