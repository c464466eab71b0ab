//! Arguments and results as bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that the arguments or the result of one task may take: 1 GiB.
pub(crate) const LARGEST: usize = 1 << 30;

/// Why a value could not become bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Unserializable(#[from] rmp_serde::encode::Error),
    #[error("it takes {0} bytes, more than the {LARGEST} that one task may carry: pass a path")]
    TooLarge(usize),
}

/// Encodes with field names, so that types whose shape depends on the data can be read back.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let bytes = rmp_serde::to_vec_named(value)?;
    if bytes.len() > LARGEST { Err(EncodeError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Page {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        title: Option<String>,
        either: Either,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }

    #[test]
    fn types_whose_shape_depends_on_the_data_come_back() {
        for (title, either) in
            [(None, Either::Number(-1)), (Some("t".into()), Either::Text("x".into()))]
        {
            let page = Page { title, either, rest: [("a".to_owned(), 1)].into() };
            assert_eq!(decode::<Page>(&encode(&page).unwrap()).unwrap(), page);
        }
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [&b""[..], b"\xc1", b"\xdb\xff\xff\xff\xffx", b"\x93\x01"] {
            assert!(decode::<(String, u8, u8)>(bytes).is_err(), "{bytes:?}");
        }
    }
}
