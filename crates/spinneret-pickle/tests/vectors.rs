//! Messages that Python really sent, and how they are answered.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

use bytes::Bytes;
use spinneret_pickle::{
    Dialect, Exception, ExceptionKind, Limits, ReadError, Value, View, WriteError,
};

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn read(pickle: &[u8]) -> Value {
    Value::read(&Bytes::copy_from_slice(pickle), &Limits::default()).unwrap()
}

fn shown(pickle: &str) -> String {
    format!("{:?}", read(&unhex(pickle)))
}

#[test]
fn requests_of_python_2_and_3_are_read() {
    let dummy = r#"tuple[None, "dummy", tuple[], {}]"#;
    assert_eq!(
        shown("8002284e550564756d6d797101297d71027471032e"),
        dummy.replace("\"dummy\"", "str(\"dummy\")")
    );
    assert_eq!(shown("8004951000000000000000284e8c0564756d6d7994297d9474942e"), dummy);
    assert_eq!(
        shown(
            "8002285 50c376631396662636236313930710155036765747102888571037d7104550774696d656f7574
             71054b05737471062e"
        ),
        r#"tuple[str("7f19fbcb6190"), str("get"), tuple[True], {str("timeout"): 5}]"#
    );
    assert_eq!(
        shown(
            "800228550c3766313966626362363139307101550370757471025802000000d0bf8571037d71047471052e"
        ),
        r#"tuple[str("7f19fbcb6190"), str("put"), tuple["п"], {}]"#
    );
}

#[test]
fn answers_are_written_for_each_python() {
    let answer = Value::tuple([Value::native("#RETURN"), Value::none()]);
    for (dialect, expected) in [
        (Dialect::Python2, "8002 5507 2352455455524e 4e 86 2e"),
        (Dialect::Python3, "8003 5807000000 2352455455524e 4e 86 2e"),
        (Dialect::Python38, "8004 8c07 2352455455524e 4e 86 2e"),
    ] {
        assert_eq!(answer.write(dialect).unwrap(), unhex(expected), "{dialect}");
    }
}

#[test]
fn exceptions_of_python_are_told_apart_and_written_for_the_other() {
    // ('#ERROR', Queue.Empty()) of 2.7 and ('#ERROR', _queue.Empty()) of 3.13.
    for pickle in [
        "80025506234552524f5271016351756575650a456d7074790a7102295271038671042e",
        "80049522000000000000008c06234552524f52948c065f7175657565948c05456d70747994939429529486942e",
    ] {
        let reply = read(&unhex(pickle));
        let error = Exception::from_ref(reply.items().unwrap().nth(1).unwrap()).unwrap();
        assert_eq!(*error.kind(), ExceptionKind::QueueEmpty);
        assert!(error.args().is_empty());
        // Python 3.6 has no module `_queue`.
        let for_others = error.to_value().write(Dialect::Python38).unwrap();
        assert_eq!(for_others, b"\x80\x04cqueue\nEmpty\n)R.");
    }
    let empty = Exception::bare(ExceptionKind::QueueEmpty).to_value();
    assert_eq!(empty.write(Dialect::Python2).unwrap(), b"\x80\x02cQueue\nEmpty\n)R.");
    assert_eq!(empty.write(Dialect::Python38).unwrap(), b"\x80\x04cqueue\nEmpty\n)R.");
    let value = Exception::with_message(ExceptionKind::ValueError, "no").to_value();
    assert_eq!(
        value.write(Dialect::Python2).unwrap(),
        b"\x80\x02cexceptions\nValueError\nU\x02no\x85R."
    );
}

#[test]
fn a_recursive_tuple_is_written_as_python_writes_it() {
    // t = ([],); t[0].append(t)
    let tuple = read(b"\x80\x02]q\x00h\x00\x85q\x01a0h\x01.");
    let View::Tuple(mut items) = tuple.view() else { panic!("{tuple:?}") };
    let list = items.next().unwrap();
    assert_eq!(list.items().unwrap().next().unwrap().identity(), tuple.as_ref().identity());
    for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
        let written = tuple.write(dialect).unwrap();
        assert_eq!(written[2..], b"]q\x00h\x00\x85q\x01a0h\x01."[..], "{dialect}");
    }
}

#[test]
fn strings_of_python_2_are_text_if_they_can_be() {
    let strings = Value::tuple([Value::str2(&b"ascii"[..]), Value::str2(&b"\xff\x00"[..])]);
    assert_eq!(
        strings.write(Dialect::Python38).unwrap(),
        b"\x80\x04\x8c\x05asciiC\x02\xff\x00\x86."
    );
    assert_eq!(strings.write(Dialect::Python2).unwrap(), b"\x80\x02U\x05asciiU\x02\xff\x00\x86.");
}

#[test]
fn integers_of_python_2_stay_what_they_are() {
    let max = read(b"\x80\x02I9223372036854775807\n.");
    assert_eq!(max.as_i64(), Some(i64::MAX));
    assert_eq!(max.write(Dialect::Python2).unwrap(), b"\x80\x02I9223372036854775807\n.");
    let three = b"\x80\x04\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.";
    assert_eq!(max.write(Dialect::Python38).unwrap(), three);
    assert_eq!(read(three).write(Dialect::Python2).unwrap(), b"\x80\x02I9223372036854775807\n.");
    let long = read(b"\x80\x02\x8a\x01\x05.");
    assert_eq!(long.write(Dialect::Python2).unwrap(), b"\x80\x02\x8a\x01\x05.");
    assert_eq!(long.write(Dialect::Python38).unwrap(), b"\x80\x04K\x05.");
    assert_eq!(read(b"I01\n.").as_bool(), Some(true));
}

#[test]
fn a_nested_class_is_found_by_each_python() {
    let class = read(b"\x80\x04\x8c\x01m\x8c\x0bOuter.Inner\x93.");
    assert_eq!(class.as_ref().as_global().unwrap().name, "Outer.Inner");
    assert_eq!(
        class.write(Dialect::Python3).unwrap(),
        b"\x80\x03cbuiltins\ngetattr\ncm\nOuter\nX\x05\x00\x00\x00Inner\x86R."
    );
    assert_eq!(
        class.write(Dialect::Python2).unwrap(),
        b"\x80\x02c__builtin__\ngetattr\ncm\nOuter\nU\x05Inner\x86R."
    );
}

#[test]
fn sets_are_sets_however_they_were_made() {
    for pickle in [
        &b"\x80\x04\x8f\x94(K\x01K\x02\x90."[..],
        b"\x80\x03cbuiltins\nset\n]q\x00(K\x01K\x02e\x85R.",
        b"\x80\x02c__builtin__\nset\n]q\x00(K\x01K\x02e\x85R.",
    ] {
        let value = read(pickle);
        let View::Set(items) = value.view() else { panic!("{value:?}") };
        assert_eq!(items.map(|item| item.as_i64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn what_lies_outside_of_the_pickle_is_refused() {
    let refusal =
        |pickle: &'static [u8]| Value::read(&pickle.into(), &Limits::default()).unwrap_err();
    assert_eq!(refusal(b"Pid\n."), ReadError::Refused { opcode: "PERSID", offset: 0 });
    assert_eq!(refusal(b"\x80\x04NQ."), ReadError::Refused { opcode: "BINPERSID", offset: 3 });
    assert_eq!(refusal(b"\x80\x05\x97."), ReadError::Refused { opcode: "NEXT_BUFFER", offset: 2 });
    assert_eq!(refusal(b"\x82\x01."), ReadError::Refused { opcode: "EXT1", offset: 0 });
    assert_eq!(refusal(b"\x80\x06N."), ReadError::UnknownProtocol(6));
    assert_eq!(refusal(b"N.N"), ReadError::Trailing { offset: 2 });
    assert_eq!(refusal(b"h\x07."), ReadError::NotInMemo { index: 7, offset: 0 });
    assert_eq!(refusal(b"\xff"), ReadError::UnknownOpcode { opcode: 0xff, offset: 0 });
}

#[test]
fn keyword_arguments_of_new_are_beyond_python_2() {
    let object = read(b"\x80\x04\x8c\x01m\x8c\x01C\x93)}\x8c\x01kK\x01s\x92.");
    assert!(object.write(Dialect::Python38).unwrap().ends_with(b"\x92."));
    assert!(
        object.write(Dialect::Python3).unwrap().starts_with(b"\x80\x03ccopyreg\n__newobj_ex__")
    );
    assert!(matches!(
        object.write(Dialect::Python2),
        Err(WriteError::Unrepresentable { dialect: Dialect::Python2, .. })
    ));
}

#[test]
fn a_set_whose_elements_refer_to_it_is_written_for_each_python() {
    // s = {a, b}; a.home = b.home = s
    let mut pickle = b"\x80\x04\x8f\x94(".to_vec();
    for _ in 0..2 {
        pickle.extend_from_slice(b"cm\nC\n)\x81}\x8c\x04homeh\x00sb");
    }
    pickle.extend_from_slice(b"\x90.");
    let set = read(&pickle);
    for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
        let again = read(&set.write(dialect).unwrap());
        let View::Set(items) = again.view() else { panic!("{again:?}") };
        assert_eq!(items.len(), 2, "{dialect}");
        for item in items {
            let View::Object(object) = item.view() else { panic!("{item:?}") };
            let View::Dict(state) = object.state().unwrap().view() else { panic!("{object:?}") };
            assert_eq!(state.get("home").unwrap().identity(), again.as_ref().identity());
        }
    }
}

#[test]
fn a_set_in_itself_is_an_error_where_sets_are_made_of_lists() {
    let set = read(b"\x80\x04\x8f\x94(h\x00\x85\x90.");
    assert!(set.write(Dialect::Python38).is_ok());
    assert_eq!(set.write(Dialect::Python3), Err(WriteError::Cycle(Dialect::Python3)));
    assert_eq!(set.write(Dialect::Python2), Err(WriteError::Cycle(Dialect::Python2)));
}

#[test]
fn every_kind_of_exception_is_the_same_after_any_python() {
    use ExceptionKind as Kind;
    for kind in [
        Kind::QueueEmpty,
        Kind::QueueFull,
        Kind::QueueShutDown,
        Kind::BrokenBarrier,
        Kind::ThreadError,
        Kind::MultiprocessingTimeout,
        Kind::RemoteError,
        Kind::AttributeError,
        Kind::IndexError,
        Kind::KeyError,
        Kind::NotImplementedError,
        Kind::OverflowError,
        Kind::RuntimeError,
        Kind::StopIteration,
        Kind::TypeError,
        Kind::ValueError,
        Kind::AssertionError,
        Kind::Other { module: "app".into(), name: "Failure".into() },
    ] {
        let exception = Exception::with_message(kind.clone(), "why");
        for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
            let back = read(&exception.to_value().write(dialect).unwrap());
            let back = Exception::from_value(&back).unwrap();
            assert_eq!((back.kind(), back.message()), (&kind, Some("why")), "{dialect}");
        }
    }
    let timeout = Exception::bare(Kind::TimeoutError).to_value().write(Dialect::Python2).unwrap();
    assert_eq!(timeout, b"\x80\x02cexceptions\nOSError\n)R.", "Python 2 has nothing nearer");
}

#[test]
fn an_exception_that_was_read_keeps_its_attributes() {
    let pickle = b"\x80\x04cbuiltins\nValueError\n\x8c\x02no\x85R}\x8c\x04codeK\x07sb.";
    let exception = Exception::from_value(&read(pickle)).unwrap();
    assert_eq!(exception.to_string(), "ValueError: no");
    assert_eq!(exception.to_value().write(Dialect::Python38).unwrap(), pickle);
    assert!(Exception::from_value(&Value::text("no")).is_none());
}
