//! What has to hold for any bytes whatever.

use bytes::Bytes;
use spinneret_pickle::{Dialect, Exception, Limits, Value, from_value};

use super::describe::describe;

/// Reads bytes as a pickle and, if they are one, writes and reads it in every way there is. False:
/// they are none.
pub fn holds(pickle: &[u8]) -> bool {
    let limits = Limits { depth: 1000, ..Limits::default() };
    let Ok(value) = Value::read(&Bytes::copy_from_slice(pickle), &limits) else { return false };
    let read = |pickle: Vec<u8>| {
        let written = Value::read(&pickle.into(), &Limits::default());
        written.expect("what is written can be read")
    };
    for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
        let Ok(written) = value.write(dialect) else { continue };
        assert_eq!(Dialect::of(&written), dialect);
        let again = read(written);
        let found = describe(again.as_ref(), dialect);
        if dialect == Dialect::Python38 {
            // Older versions do not have everything: there it is something else, but then stays so.
            assert_eq!(found, describe(value.as_ref(), dialect));
        }
        let twice = read(again.write(dialect).expect("what was written can be written"));
        assert_eq!(describe(twice.as_ref(), dialect), found);
        let copy = value.detach();
        assert_eq!(describe(copy.as_ref(), dialect), describe(value.as_ref(), dialect));
    }
    let _ = Exception::from_value(&value);
    let _ = from_value::<serde_json::Value>(&value);
    let _ = format!("{value:?}");
    true
}
