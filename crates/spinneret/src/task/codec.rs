//! Arguments and results as bytes.

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::attachment::{self, Refusal};

/// The most bytes that the arguments or the result of one task may take: 1 GiB.
pub(crate) const LARGEST: usize = 1 << 30;

/// Why a value could not become bytes, to be sent to another process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its type cannot be serialized as it is.
    #[error("{0}")]
    Unserializable(String),
    /// It takes more than 1 GiB.
    #[error("it takes {0} bytes, more than the {LARGEST} that one message may carry: pass a path")]
    TooLarge(usize),
    /// It holds a queue, pipe or shared memory, and goes where those cannot.
    #[error(
        "`{what}` holds a queue, pipe or shared memory of this machine, which cannot be sent over \
         the network: use a queue of a manager"
    )]
    NotSendableOverNetwork {
        /// The type of the value.
        what: &'static str,
    },
    /// It holds more than 64 queues, pipes and shared memories.
    #[error(
        "it holds more than the {} queues, pipes and shared memories that one message can carry",
        attachment::MOST
    )]
    TooManyAttachments,
}

/// Encodes a value that goes without file descriptors, as those must that go to other machines.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let (bytes, refusal) = attachment::refusing(|| to_bytes(value));
    bytes.map_err(|error| refusal.map_or(error, EncodeError::refused::<T>))
}

impl EncodeError {
    /// The error for a value of type `T` with a descriptor that was refused.
    pub(crate) fn refused<T>(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotSendable => Self::NotSendableOverNetwork { what: type_name::<T>() },
            Refusal::TooMany => Self::TooManyAttachments,
        }
    }
}

/// Encodes with field names, so that types whose shape depends on the data can be read back.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    // Room for most messages, rather than to grow byte by byte.
    let mut bytes = Vec::with_capacity(128);
    rmp_serde::encode::write_named(&mut bytes, value)
        .map_err(|error| EncodeError::Unserializable(error.to_string()))?;
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
