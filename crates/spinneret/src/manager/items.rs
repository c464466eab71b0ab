//! Items and values as they travel: pickles, which Python reads and writes too.
//!
//! Reading a pickle never runs anything: it is data, or it is refused.

use std::any::type_name;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_pickle::{DeOptions, SerOptions};

use super::{
    error::{ManagerError, Undecodable},
    wire::Reply,
};
use crate::process::attachment;

/// Writes an item as a pickle of protocol 3, which every Python 3 reads.
pub(crate) fn encode<T: Serialize>(item: &T) -> Result<Bytes, ManagerError> {
    let mut bytes = Vec::new();
    let (written, refusal) =
        attachment::refusing(|| serde_pickle::to_writer(&mut bytes, item, SerOptions::new()));
    written.map_err(|error| match refusal {
        Some(_) => ManagerError::NotSendableOverNetwork { what: type_name::<T>() },
        None => {
            ManagerError::Unencodable { type_name: type_name::<T>(), reason: error.to_string() }
        }
    })?;
    // Boxed, so that no spare room waits in the queue with it.
    Ok(bytes.into_boxed_slice().into())
}

/// Reads an item from a pickle of any protocol.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Undecodable> {
    serde_pickle::from_slice(bytes, DeOptions::new()).map_err(|error| Undecodable {
        bytes: bytes.clone(),
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
            Err(Undecodable { type_name, reason, .. }) => {
                Err(ManagerError::UndecodableValue { name: name.into(), type_name, reason })
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
        assert_eq!(decode::<u64>(&encode(&(u64::MAX >> 1)).unwrap()).unwrap(), u64::MAX >> 1);
        assert!(decode::<u64>(&encode(&u64::MAX).unwrap()).is_err(), "larger than documented");
        let batch = vec![Some(1.5), None];
        assert_eq!(decode::<Vec<Option<f64>>>(&encode(&batch).unwrap()).unwrap(), batch);
    }

    #[test]
    fn an_item_is_a_pickle_of_protocol_3() {
        assert_eq!(&encode(&"x").unwrap()[..2], b"\x80\x03");
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
