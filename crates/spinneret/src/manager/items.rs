//! Items and values as they travel: pickles, which Python reads and writes too.
//!
//! Reading a pickle never runs anything: it is data, or it is refused.

use std::{any::type_name, cell::Cell};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::Dialect;

use super::{
    error::{ManagerError, Undecodable},
    wire::Reply,
};
use crate::process::attachment;

/// Items up to this size are written in memory that is there already, in bytes.
const MOST_SCRATCH: usize = 16 << 10;

thread_local! {
    /// Where small items are written, so that each costs one allocation, of its size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes an item as a pickle of protocol 4. Python 2.7 gets it rewritten.
pub(crate) fn encode<T: Serialize>(item: &T) -> Result<Bytes, ManagerError> {
    // Not borrowed while the item is written, whose type may do anything in that.
    let mut bytes = SCRATCH.take();
    bytes.clear();
    let (written, refusal) =
        attachment::refusing(|| spinneret_pickle::to_writer(&mut bytes, item, Dialect::Python38));
    let encoded = written.map_err(|error| match refusal {
        Some(_) => ManagerError::NotSendableOverNetwork { what: type_name::<T>() },
        None => {
            ManagerError::Unencodable { type_name: type_name::<T>(), reason: error.to_string() }
        }
    });
    if bytes.len() > MOST_SCRATCH {
        // Boxed, so that no spare room waits in the queue with it.
        return encoded.map(|()| bytes.into_boxed_slice().into());
    }
    let item = Bytes::copy_from_slice(&bytes);
    SCRATCH.set(bytes);
    encoded.map(|()| item)
}

/// Reads an item from a pickle of any protocol.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Undecodable> {
    spinneret_pickle::from_bytes(bytes).map_err(|error| Undecodable {
        // Not a view of the whole message that it came in.
        bytes: Bytes::copy_from_slice(bytes),
        type_name: type_name::<T>(),
        reason: error.to_string(),
    })
}

/// Reads a named value from the manager's answer.
pub(crate) fn value<T: DeserializeOwned>(
    name: &str,
    reply: Reply,
) -> Result<Option<T>, ManagerError> {
    match reply {
        Reply::Value(None) => Ok(None),
        Reply::Value(Some(bytes)) => match decode(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(Undecodable { bytes, type_name, reason }) => {
                Err(ManagerError::UndecodableValue { name: name.into(), bytes, type_name, reason })
            }
        },
        Reply::Refused(refusal) => Err(refusal.into()),
        other => Err(unexpected(&other)),
    }
}

/// The error for an answer that does not fit its request.
pub(crate) fn unexpected(reply: &Reply) -> ManagerError {
    let mut text = format!("it answered something else than was asked: {reply:?}");
    text.truncate(text.floor_char_boundary(200));
    ManagerError::Protocol(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Image {
        url: String,
        depth: u32,
        size: Option<(u16, u16)>,
    }

    fn image() -> Image {
        Image { url: "http://пример/1.png".into(), depth: 3, size: Some((640, 480)) }
    }

    /// What Python 3 prints for this script, if there is a Python 3.
    fn python(script: &str) -> Option<String> {
        let run = Command::new("python3").args(["-c", script]).output().ok()?;
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Some(String::from_utf8(run.stdout).unwrap().trim().into())
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn unhex(text: &str) -> Bytes {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn an_item_is_read_back() {
        assert_eq!(decode::<Image>(&encode(&image()).unwrap()).unwrap(), image());
        assert_eq!(decode::<u64>(&encode(&u64::MAX).unwrap()).unwrap(), u64::MAX);
        assert_eq!(decode::<i128>(&encode(&i128::MIN).unwrap()).unwrap(), i128::MIN);
        let batch = vec![Some(1.5), None];
        assert_eq!(decode::<Vec<Option<f64>>>(&encode(&batch).unwrap()).unwrap(), batch);
    }

    #[test]
    fn an_item_is_a_pickle_of_protocol_4() {
        assert_eq!(&encode(&"x").unwrap()[..2], b"\x80\x04");
    }

    #[test]
    fn a_string_of_any_python_is_a_string() {
        // pickle.dumps('url', protocol) of Python 3 and, last, of Python 2.
        for pickle in [
            &b"Vurl\np0\n."[..],
            b"\x80\x02X\x03\x00\x00\x00urlq\x00.",
            b"\x80\x03X\x03\x00\x00\x00urlq\x00.",
            b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03url\x94.",
            b"\x80\x05\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03url\x94.",
            b"\x80\x02U\x03urlq\x00.",
        ] {
            assert_eq!(decode::<String>(&Bytes::from_static(pickle)).unwrap(), "url");
        }
    }

    #[test]
    fn python_reads_what_is_written_here() {
        let item = hex(&encode(&image()).unwrap());
        let script = format!("import pickle; print(ascii(pickle.loads(bytes.fromhex('{item}'))))");
        if let Some(read) = python(&script) {
            let url = "'http://\\u043f\\u0440\\u0438\\u043c\\u0435\\u0440/1.png'";
            assert_eq!(read, format!("{{'url': {url}, 'depth': 3, 'size': (640, 480)}}"));
        }
    }

    #[test]
    fn what_python_writes_is_read_here() {
        for protocol in 0..=5 {
            let script = format!(
                "import pickle; print(pickle.dumps({{'url': 'http://\\u043f\\u0440\\u0438\\u043c\\u0435\\u0440/1.png', \
                 'depth': 3, 'size': (640, 480)}}, {protocol}).hex())"
            );
            if let Some(pickle) = python(&script) {
                assert_eq!(decode::<Image>(&unhex(&pickle)).unwrap(), image(), "{protocol}");
            }
        }
    }

    #[test]
    fn what_is_no_such_item_is_an_error_that_keeps_the_bytes() {
        for bytes in
            [&b""[..], b"\x80", b"GET / HTTP/1.1\r\n", b"\x80\x03K\x01.", b"cos\nsystem\n."]
        {
            let bytes = Bytes::from_static(bytes);
            let error = decode::<String>(&bytes).unwrap_err();
            assert_eq!(error.bytes, bytes);
            assert!(error.to_string().contains("String"), "{error}");
        }
    }

    #[test]
    fn cut_and_changed_pickles_never_panic() {
        let whole = encode(&image()).unwrap();
        for at in 0..whole.len() {
            let _ = decode::<Image>(&whole.slice(..at));
            for byte in 0..=255 {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                let _ = decode::<Image>(&changed.into());
            }
        }
    }
}
