//! A peer that speaks the protocol by itself, byte for byte, so as to break it.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub struct Raw(pub TcpStream);

impl Raw {
    /// A connection that has not said anything.
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// A connection that has proven that it has the key.
    pub fn proven(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        let challenge = raw.read().unwrap();
        let question = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
        assert!(question.starts_with(b"{sha256}") && question.len() == 48);
        raw.write(&[b"{sha256}", &proof(question)[..]].concat());
        assert_eq!(raw.read().unwrap(), b"#WELCOME#");
        let question = [&b"{sha256}"[..], &[b'q'; 40]].concat();
        raw.write(&[b"#CHALLENGE#", &question[..]].concat());
        assert_eq!(raw.read().unwrap(), [b"{sha256}", &proof(&question)[..]].concat());
        raw.write(b"#WELCOME#");
        raw
    }

    /// A connection that has said hello.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::proven(address);
        raw.write(&[&Self::VERSION[..], b"raw"].concat());
        assert_eq!(raw.read().unwrap()[..12], Self::VERSION);
        raw
    }

    /// What proves to the one who sent this challenge that one has the key.
    pub fn answer_to(challenge: &[u8]) -> Vec<u8> {
        let question = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
        [b"{sha256}", &proof(question)[..]].concat()
    }

    /// The server's half of the proof.
    pub fn welcome(&mut self) {
        let question = [&b"{sha256}"[..], &[b's'; 40]].concat();
        self.write(&[b"#CHALLENGE#", &question[..]].concat());
        assert_eq!(self.read().unwrap(), [b"{sha256}", &proof(&question)[..]].concat());
        self.write(b"#WELCOME#");
        let challenge = self.read().unwrap();
        let question = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
        self.write(&[b"{sha256}", &proof(question)[..]].concat());
        assert_eq!(self.read().unwrap(), b"#WELCOME#");
    }

    /// How both ends' hellos begin.
    pub const VERSION: [u8; 12] = *b"\0spinneret\0\x02";

    pub fn write(&mut self, content: &[u8]) {
        self.try_write(content).unwrap();
    }

    pub fn try_write(&mut self, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).unwrap();
        self.0.write_all(&[&length.to_be_bytes(), content].concat())
    }

    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut content)?;
        Ok(content)
    }

    /// Whether the other end closes, whatever it says before.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

fn proof(question: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"qiye").unwrap();
    mac.update(question);
    mac.finalize().into_bytes().to_vec()
}

/// A request's content: its number, operation and fields.
pub fn request(id: u64, op: u8, fields: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[op], fields].concat()
}

/// The name of the queue `q`, as it is written.
pub const Q: &[u8] = b"\0\x01q";
