//! How the two ends of a connection prove to each other that they have the same key, and agree on
//! the protocol.
//!
//! The proof is that of Python's `multiprocessing.connection`: the server sends `#CHALLENGE#` and
//! random bytes, the client answers with their HMAC, the server says `#WELCOME#` or `#FAILURE#`;
//! then the client challenges the server in the same way. Which digests there are, [`digest`]
//! says. After it, our own client says hello, and Python's makes a request.

mod digest;

use std::{io, time::Duration};

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    authkey::{AuthKey, random_bytes},
    wire::{MAGIC, clip},
};
pub(crate) use digest::Md5;
use digest::Verdict;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
/// What a peer of another machine is told in place of these if it has to use TLS.
pub(crate) const NEEDS_TLS: &[u8] = b"#TLS-REQUIRED#";
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
    #[error(
        "it proved its key by MD5, as Python does before 3.12, which is allowed on this machine \
         only: allow MD5 (`allow_md5`, `--allow-md5`), or use Python 3.12 or later there"
    )]
    Md5,
    #[error("it came without TLS")]
    NeedsTls,
    #[error("{0}")]
    Protocol(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, HandshakeError>;

/// The server's half of the proof. `md5` says whether the client's may be by MD5.
pub(crate) async fn welcome<S>(stream: &mut S, key: &AuthKey, md5: Md5) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ours = challenge(stream, key, md5).await?;
    // A client that has proven its key learns nothing from what it may ask for.
    answer(stream, key, Md5::Allowed, Some(&ours)).await
}

/// The client's half of the proof. `md5` says whether either end's may be by MD5.
pub(crate) async fn introduce<S>(stream: &mut S, key: &AuthKey, md5: Md5) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    answer(stream, key, md5, None).await?;
    challenge(stream, key, md5).await.map(drop)
}

/// Makes the other end prove that it has the key; returns the challenge.
pub(super) async fn challenge<S>(stream: &mut S, key: &AuthKey, md5: Md5) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = random_bytes::<NONCE>().map_err(HandshakeError::Protocol)?;
    let challenge = digest::challenge(&nonce);
    write_small(stream, &[CHALLENGE, &challenge].concat()).await?;
    let answer = read_small(stream).await;
    let verdict = match &answer {
        Ok(answer) => digest::judge(key, &challenge, answer, md5),
        Err(_) => Verdict::Wrong,
    };
    if verdict == Verdict::Right {
        write_small(stream, WELCOME).await?;
        return Ok(challenge);
    }
    // Without a word more: it may be anybody. If it has gone, that is what is reported.
    let told = write_small(stream, FAILURE).await;
    answer?;
    told?;
    Err(if verdict == Verdict::RightByMd5 { HandshakeError::Md5 } else { HandshakeError::WrongKey })
}

/// Proves to the other end that this one has the key, unless it only sends `ours` back.
pub(super) async fn answer<S>(
    stream: &mut S,
    key: &AuthKey,
    md5: Md5,
    ours: Option<&[u8]>,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let refuse = |why: &str| HandshakeError::Protocol(why.into());
    let message = read_small(stream).await?;
    let challenge =
        message.strip_prefix(CHALLENGE).ok_or_else(|| refuse("it sent no challenge"))?;
    if ours == Some(challenge) {
        return Err(refuse("it sent our own challenge back"));
    }
    let answer = digest::answer(key, challenge, md5).map_err(refuse)?;
    write_small(stream, &answer).await?;
    match read_small(stream).await?.as_slice() {
        WELCOME => Ok(()),
        FAILURE => Err(HandshakeError::WrongKey),
        NEEDS_TLS => Err(HandshakeError::NeedsTls),
        _ => Err(refuse("it neither welcomed nor refused")),
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

/// Who answers a hello of ours.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// A manager of ours, perhaps of another version.
    Spinneret(ServerHello),
    /// A server of Python, which takes a hello for a broken pickle and answers with one.
    Python,
}

/// Reads the answer to a hello, or no more of it than it takes to tell who sends it.
pub(crate) async fn greeting<S: AsyncRead + Unpin>(stream: &mut S, ours: u16) -> Result<Greeting> {
    /// What every pickle of protocol 2 and later starts with.
    const PICKLE: u8 = 0x80;
    let mut start = [0; 5];
    stream.read_exact(&mut start).await?;
    let [head @ .., first] = start;
    let length = u32::from_be_bytes(head) as usize;
    if first == PICKLE {
        return Ok(Greeting::Python);
    }
    let odd = || HandshakeError::Protocol("its hello is not spinneret's".into());
    if length == 0 || length > LONGEST {
        return Err(odd());
    }
    let mut message = vec![first; length];
    stream.read_exact(&mut message[1..]).await?;
    ServerHello::read(&message, ours).map(Greeting::Spinneret).ok_or_else(odd)
}

/// How a peer begins that has proven its key.
#[derive(Debug)]
pub(crate) enum First {
    /// With a hello of ours.
    Hello(Hello),
    /// With anything else, which Python's protocol has to make sense of: the stream's first bytes.
    Python(BytesMut),
}

/// Reads no more of a connection's first frame than it takes to tell who sends it.
pub(crate) async fn first<S: AsyncRead + Unpin>(stream: &mut S) -> Result<First> {
    let mut start = BytesMut::with_capacity(4 + LONGEST);
    let mut wanted = 4 + MAGIC.len();
    while start.len() < wanted {
        let missing = wanted - start.len();
        if stream.read_buf(&mut (&mut start).limit(missing)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let Some((head, message)) = start.split_first_chunk::<4>() else {
            continue;
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > LONGEST
            || length < MAGIC.len()
            || !MAGIC.starts_with(&message[..message.len().min(MAGIC.len())])
        {
            return Ok(First::Python(start));
        }
        wanted = 4 + length;
    }
    match Hello::read(&start[4..]) {
        Some(hello) => Ok(First::Hello(hello)),
        None => Err(HandshakeError::Protocol("its hello makes no sense".into())),
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
            let done = welcome(&mut near, &server, Md5::Refused).await;
            drop(near);
            done
        };
        tokio::join!(serve, introduce(&mut far, &client, Md5::Refused))
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
            write_small(&mut near, &[CHALLENGE, b"{sha256}", &[7; NONCE]].concat()).await.unwrap();
            read_small(&mut near).await.unwrap();
            write_small(&mut near, WELCOME).await.unwrap();
            read_small(&mut near).await.unwrap();
            write_small(&mut near, &[&b"{sha256}"[..], &[0; 32]].concat()).await.unwrap();
            read_small(&mut near).await.unwrap()
        };
        let key = AuthKey::new("qiye");
        let (verdict, client) = tokio::join!(impostor, introduce(&mut far, &key, Md5::Allowed));
        assert_eq!(verdict, FAILURE);
        assert!(matches!(client, Err(HandshakeError::WrongKey)), "{client:?}");
    }

    #[tokio::test]
    async fn a_challenge_that_comes_back_gets_no_answer() {
        let key = AuthKey::new("qiye");
        let (mut near, mut far) = duplex(1000);
        let client = async {
            let message = read_small(&mut far).await.unwrap();
            let challenge = message.strip_prefix(CHALLENGE).unwrap();
            let answer = digest::answer(&key, challenge, Md5::Allowed).unwrap();
            write_small(&mut far, &answer).await.unwrap();
            assert_eq!(read_small(&mut far).await.unwrap(), WELCOME);
            write_small(&mut far, &message).await.unwrap();
            read_small(&mut far).await
        };
        let serve = async {
            let done = welcome(&mut near, &key, Md5::Allowed).await;
            drop(near);
            done
        };
        let (server, client) = tokio::join!(serve, client);
        assert!(matches!(server, Err(HandshakeError::Protocol(_))), "{server:?}");
        assert!(matches!(client, Err(HandshakeError::Io(_))), "{client:?}");
    }

    #[tokio::test]
    async fn a_proof_by_md5_is_refused_where_it_is_not_allowed() {
        let key = AuthKey::new("qiye");
        for (md5, expected) in [(Md5::Allowed, WELCOME), (Md5::Refused, FAILURE)] {
            let (mut near, mut far) = duplex(1000);
            let client = async {
                // As Python before 3.12 does it, which sees 20 bytes in any challenge.
                let message = read_small(&mut far).await.unwrap();
                let challenge = message.strip_prefix(CHALLENGE).unwrap();
                let answer = digest::old_answer(&key, challenge);
                write_small(&mut far, &answer).await.unwrap();
                read_small(&mut far).await.unwrap()
            };
            let (server, verdict) = tokio::join!(challenge(&mut near, &key, md5), client);
            assert_eq!(verdict, expected);
            assert_eq!(server.is_ok(), md5 == Md5::Allowed);
            if let Err(error) = server {
                assert!(matches!(error, HandshakeError::Md5), "{error:?}");
                assert!(error.to_string().contains("--allow-md5"));
            }
        }
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
            let (server, verdict) = tokio::join!(welcome(&mut near, &key, Md5::Allowed), client);
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
    async fn a_challenge_by_a_digest_that_is_not_allowed_is_refused() {
        let key = AuthKey::new("qiye");
        for question in
            [&[7; 20][..], b"{sha512}aaaaaaaaaaaaaaaa", b"{md5}aaaaaaaaaaaaaaaaaaaaaaa", b""]
        {
            let (mut near, mut far) = duplex(1000);
            write_small(&mut near, &[CHALLENGE, question].concat()).await.unwrap();
            let done = introduce(&mut far, &key, Md5::Refused).await;
            assert!(matches!(done, Err(HandshakeError::Protocol(_))), "{done:?}");
        }
    }

    #[tokio::test]
    async fn who_answers_a_hello_is_told_by_its_first_bytes() {
        async fn read(message: &[u8]) -> Result<Greeting> {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            greeting(&mut io::Cursor::new([&length, message].concat()), 1).await
        }
        let ours = ServerHello { version: 1, max_frame: 77, silence: Duration::from_millis(1500) };
        let read_back = read(&ours.write()).await.unwrap();
        assert!(matches!(read_back, Greeting::Spinneret(hello) if hello == ours));
        for pickle in [vec![0x80, 2, b'.'], [b"\x80\x04".to_vec(), vec![b'N'; 5000]].concat()] {
            assert!(matches!(read(&pickle).await, Ok(Greeting::Python)));
        }
        for other in [&b"\0spinneret"[..], b"HTTP/1.1 400 Bad Request", &[0; 300]] {
            let greeting = read(other).await;
            assert!(matches!(greeting, Err(HandshakeError::Protocol(_))), "{greeting:?}");
        }
        assert!(matches!(read(b"").await, Err(HandshakeError::Io(_))));
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
