//! How the two ends of a connection prove to each other that they have the same key, and agree on
//! the protocol.
//!
//! The proof is that of Python's `multiprocessing.connection` since 3.12, with its SHA-256: the
//! server sends `#CHALLENGE#{sha256}` and 40 random bytes, the client answers `{sha256}` and the
//! HMAC-SHA256 of `{sha256}` and those bytes, the server says `#WELCOME#` or `#FAILURE#`; then the
//! client challenges the server in the same way. After it, our own client says hello.

use std::{io, time::Duration};

use hmac::Mac as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    authkey::{AuthKey, random_bytes},
    wire::{MAGIC, clip},
};

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
/// The one digest so far.
const DIGEST: &[u8] = b"{sha256}";
/// Random bytes in a challenge.
const NONCE: usize = 40;
/// The longest message of the handshake, in bytes. Whoever sends one is not yet trusted.
const LONGEST: usize = 256;
/// The longest name a peer may give itself, in bytes.
const LONGEST_PEER_NAME: usize = 128;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the key is wrong")]
    WrongKey,
    #[error("{0}")]
    Protocol(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, HandshakeError>;

/// The server's half of the proof.
pub(crate) async fn welcome<S>(stream: &mut S, key: &AuthKey) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    challenge(stream, key).await?;
    answer(stream, key).await
}

/// The client's half of the proof.
pub(crate) async fn introduce<S>(stream: &mut S, key: &AuthKey) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    answer(stream, key).await?;
    challenge(stream, key).await
}

/// Makes the other end prove that it has the key.
async fn challenge<S>(stream: &mut S, key: &AuthKey) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = random_bytes::<NONCE>().map_err(HandshakeError::Protocol)?;
    let question = [DIGEST, &nonce].concat();
    write_small(stream, &[CHALLENGE, &question].concat()).await?;
    let answer = read_small(stream).await?;
    let proof = answer.strip_prefix(DIGEST);
    // `verify_slice` takes the same time however much of the proof is right.
    if proof.is_some_and(|proof| key.sha256(&question).verify_slice(proof).is_ok()) {
        write_small(stream, WELCOME).await
    } else {
        write_small(stream, FAILURE).await?;
        Err(HandshakeError::WrongKey)
    }
}

/// Proves to the other end that this one has the key.
async fn answer<S>(stream: &mut S, key: &AuthKey) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let message = read_small(stream).await?;
    let Some(question) = message.strip_prefix(CHALLENGE) else {
        return Err(HandshakeError::Protocol("it sent no challenge".into()));
    };
    // Twenty bytes ask for MD5, whatever they start with.
    if question.len() == 20 || !question.starts_with(DIGEST) {
        return Err(HandshakeError::Protocol(
            "its challenge is not one of HMAC-SHA256; Python has that since 3.12".into(),
        ));
    }
    let proof = key.sha256(question).finalize().into_bytes();
    write_small(stream, &[DIGEST, &proof].concat()).await?;
    match read_small(stream).await?.as_slice() {
        WELCOME => Ok(()),
        FAILURE => Err(HandshakeError::WrongKey),
        _ => Err(HandshakeError::Protocol("it neither welcomed nor refused".into())),
    }
}

/// What a client says first after the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub version: u16,
    /// What the peer calls itself, for people to read.
    pub name: String,
}

/// What the server answers. If the version is not the client's, it closes then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub version: u16,
    /// The longest frame that it reads, in bytes.
    pub max_frame: u32,
    /// After this long without a byte, it takes the client for dead.
    pub silence: Duration,
}

impl Hello {
    pub fn write(&self) -> Vec<u8> {
        let name = clip(&self.name, LONGEST_PEER_NAME).as_bytes();
        [MAGIC, &self.version.to_be_bytes(), name].concat()
    }

    /// `None` if this is no hello of ours. What another version has after its number is ignored.
    pub fn read(message: &[u8]) -> Option<Self> {
        let (version, name) = message.strip_prefix(MAGIC)?.split_first_chunk::<2>()?;
        let name: String =
            String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect();
        let name = clip(&name, LONGEST_PEER_NAME).into();
        Some(Self { version: u16::from_be_bytes(*version), name })
    }
}

impl ServerHello {
    pub fn write(&self) -> Vec<u8> {
        let silence = u32::try_from(self.silence.as_millis()).unwrap_or(u32::MAX);
        let fields = [self.max_frame.to_be_bytes(), silence.to_be_bytes()].concat();
        [MAGIC, &self.version.to_be_bytes(), &fields].concat()
    }

    /// `None` if this is no hello of ours. Of another version only the number is read.
    pub fn read(message: &[u8], ours: u16) -> Option<Self> {
        let (version, fields) = message.strip_prefix(MAGIC)?.split_first_chunk::<2>()?;
        let version = u16::from_be_bytes(*version);
        if version != ours {
            return Some(Self { version, max_frame: 0, silence: Duration::ZERO });
        }
        let (max_frame, fields) = fields.split_first_chunk::<4>()?;
        let silence = fields.first_chunk::<4>()?;
        Some(Self {
            version,
            max_frame: u32::from_be_bytes(*max_frame),
            silence: Duration::from_millis(u32::from_be_bytes(*silence).into()),
        })
    }
}

/// Reads one short message. Reads not a byte more than that, so that nothing is lost when the
/// stream is read otherwise afterwards.
pub(crate) async fn read_small<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes(head) as usize;
    if length > LONGEST {
        return Err(HandshakeError::Protocol(format!(
            "it announced {length} bytes where a handshake has {LONGEST} at most"
        )));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one short message.
pub(crate) async fn write_small<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &[u8],
) -> Result<()> {
    // Our own messages are short.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
    Ok(stream.flush().await?)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn meet(server: &str, client: &str) -> (Result<()>, Result<()>) {
        let (mut near, mut far) = duplex(1000);
        let (server, client) = (AuthKey::new(server), AuthKey::new(client));
        let serve = async {
            let done = welcome(&mut near, &server).await;
            drop(near);
            done
        };
        tokio::join!(serve, introduce(&mut far, &client))
    }

    #[tokio::test]
    async fn the_same_key_is_welcome_on_both_sides() {
        let long = "k".repeat(1000);
        for key in ["", "qiye", &long] {
            let (server, client) = meet(key, key).await;
            server.unwrap();
            client.unwrap();
        }
    }

    #[tokio::test]
    async fn another_key_is_refused_by_both_sides() {
        let (server, client) = meet("qiye", "eyiq").await;
        assert!(matches!(server, Err(HandshakeError::WrongKey)), "{server:?}");
        assert!(matches!(client, Err(HandshakeError::WrongKey)), "{client:?}");
    }

    #[tokio::test]
    async fn a_client_does_not_take_an_impostor_for_its_manager() {
        let (mut near, mut far) = duplex(1000);
        let impostor = async {
            // Welcomes whatever is answered, and cannot answer itself.
            write_small(&mut near, &[CHALLENGE, DIGEST, &[7; NONCE]].concat()).await.unwrap();
            read_small(&mut near).await.unwrap();
            write_small(&mut near, WELCOME).await.unwrap();
            read_small(&mut near).await.unwrap();
            write_small(&mut near, &[DIGEST, &[0; 32]].concat()).await.unwrap();
            read_small(&mut near).await.unwrap()
        };
        let key = AuthKey::new("qiye");
        let (verdict, client) = tokio::join!(impostor, introduce(&mut far, &key));
        assert_eq!(verdict, FAILURE);
        assert!(matches!(client, Err(HandshakeError::WrongKey)), "{client:?}");
    }

    #[tokio::test]
    async fn the_messages_are_those_of_python() {
        // The HMAC-SHA256 that Python 3.12 answers for this key and challenge.
        let question = [DIGEST, &[b'a'; NONCE]].concat();
        let proof = AuthKey::new("qiye").sha256(&question).finalize().into_bytes();
        let expected = "82de0c34608b5abb0e86f8a85c7f4157b6f54abc255b1153db5730ba8668a4ab";
        assert_eq!(hex(&proof), expected);
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    #[tokio::test]
    async fn a_wrong_answer_of_any_shape_is_a_failure() {
        let key = AuthKey::new("qiye");
        for answer in [&b""[..], b"{sha256}", b"x", &[0; 16], &[0; 40], &[b'{'; 256]] {
            let (mut near, mut far) = duplex(1000);
            let client = async {
                read_small(&mut far).await.unwrap();
                write_small(&mut far, answer).await.unwrap();
                read_small(&mut far).await.unwrap()
            };
            let (server, verdict) = tokio::join!(welcome(&mut near, &key), client);
            assert!(matches!(server, Err(HandshakeError::WrongKey)));
            assert_eq!(verdict, FAILURE);
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_a_handshake_has() {
        for head in [257_u32, 1 << 20, u32::MAX] {
            let mut stream = io::Cursor::new(head.to_be_bytes().to_vec());
            let read = read_small(&mut stream).await;
            assert!(matches!(read, Err(HandshakeError::Protocol(_))), "{read:?}");
        }
    }

    #[tokio::test]
    async fn a_challenge_of_another_digest_is_refused() {
        let key = AuthKey::new("qiye");
        for question in
            [&[7; 20][..], b"{sha256}aaaaaaaaaaaa", b"{md5}aaaaaaaaaaaaaaaaaaaaaaa", b""]
        {
            let (mut near, mut far) = duplex(1000);
            write_small(&mut near, &[CHALLENGE, question].concat()).await.unwrap();
            let done = introduce(&mut far, &key).await;
            assert!(matches!(done, Err(HandshakeError::Protocol(_))), "{done:?}");
        }
    }

    #[test]
    fn hellos_are_read_back_and_others_are_not() {
        let hello = Hello { version: 3, name: "паук".into() };
        assert_eq!(Hello::read(&hello.write()), Some(hello));
        let hello = ServerHello { version: 1, max_frame: 77, silence: Duration::from_millis(1500) };
        assert_eq!(ServerHello::read(&hello.write(), 1), Some(hello.clone()));
        assert_eq!(ServerHello::read(&hello.write(), 2).map(|hello| hello.version), Some(1));
        let written = hello.write();
        for length in 0..written.len() {
            assert_eq!(ServerHello::read(&written[..length], 1), None);
        }
        for other in [&b""[..], b"\x80\x04", b"\0spinnere", b"\0spinneret", b"\0spinneret\0"] {
            assert_eq!(Hello::read(other), None);
        }
    }

    #[test]
    fn a_peer_s_name_is_short_and_has_no_control_characters() {
        let name = format!("\x1b[31m{}", "ж".repeat(200));
        let hello = Hello::read(&Hello { version: 1, name }.write());
        let name = hello.map(|hello| hello.name).unwrap();
        assert!(name.starts_with("[31mж") && name.len() <= LONGEST_PEER_NAME, "{name}");
    }
}
