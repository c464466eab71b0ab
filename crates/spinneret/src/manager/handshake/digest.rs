//! The digests with which one end proves to the other that it has the key.
//!
//! A challenge is `{name}` and random bytes, an answer `{name}` and the HMAC of all of the
//! challenge. Python before 3.12 knows no names: its challenges are 20 random bytes, its answers
//! 16 bytes of HMAC-MD5, whatever the challenge asks for.

use hmac::{
    KeyInit as _, Mac as _, SimpleHmac,
    digest::{Digest as Hash, common::BlockSizeUser},
};

use crate::manager::authkey::AuthKey;

/// The length of a challenge of Python before 3.12, in bytes. It asks for MD5 even if by chance it
/// starts with a name.
const OLD_CHALLENGE: usize = 20;
/// The length of HMAC-MD5, in bytes.
const MD5_LENGTH: usize = 16;

/// Whether a proof by HMAC-MD5 will do, which is all that Python before 3.12 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Md5 {
    Allowed,
    Refused,
}

/// What an answer to a challenge is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// Right, but by MD5, which was not allowed.
    RightByMd5,
    Wrong,
}

/// The digests that Python allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3_256,
    Sha3_384,
}

impl Digest {
    const ALL: [(&'static [u8], Self); 5] = [
        (b"{md5}", Self::Md5),
        (b"{sha256}", Self::Sha256),
        (b"{sha384}", Self::Sha384),
        (b"{sha3_256}", Self::Sha3_256),
        (b"{sha3_384}", Self::Sha3_384),
    ];

    /// The digest that a message starts with the name of, that prefix, and the rest.
    fn split(message: &[u8]) -> Option<(Self, &'static [u8], &[u8])> {
        Self::ALL.iter().find_map(|(prefix, digest)| {
            message.strip_prefix(*prefix).map(|rest| (*digest, *prefix, rest))
        })
    }

    /// The HMAC of a message.
    fn tag(self, key: &AuthKey, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => tag::<md5::Md5>(key, message),
            Self::Sha256 => tag::<sha2::Sha256>(key, message),
            Self::Sha384 => tag::<sha2::Sha384>(key, message),
            Self::Sha3_256 => tag::<sha3::Sha3_256>(key, message),
            Self::Sha3_384 => tag::<sha3::Sha3_384>(key, message),
        }
    }

    /// Whether that is the HMAC of the message. Takes the same time however much of it is right.
    fn verify(self, key: &AuthKey, message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Md5 => verify::<md5::Md5>(key, message, tag),
            Self::Sha256 => verify::<sha2::Sha256>(key, message, tag),
            Self::Sha384 => verify::<sha2::Sha384>(key, message, tag),
            Self::Sha3_256 => verify::<sha3::Sha3_256>(key, message, tag),
            Self::Sha3_384 => verify::<sha3::Sha3_384>(key, message, tag),
        }
    }
}

/// The challenge made of these random bytes: by SHA-256, as Python's is since 3.12.
pub(crate) fn challenge(nonce: &[u8]) -> Vec<u8> {
    [b"{sha256}", nonce].concat()
}

/// What to answer to a challenge, or why there is no answer.
pub(crate) fn answer(key: &AuthKey, challenge: &[u8], md5: Md5) -> Result<Vec<u8>, &'static str> {
    const OLD: &str = "it asks for a proof by MD5, as Python does before 3.12";
    if challenge.len() == OLD_CHALLENGE {
        return match md5 {
            Md5::Allowed => Ok(Digest::Md5.tag(key, challenge)),
            Md5::Refused => Err(OLD),
        };
    }
    match Digest::split(challenge) {
        _ if challenge.len() < OLD_CHALLENGE => Err("its challenge is too short"),
        None => Err("its challenge asks for a digest that is not allowed"),
        Some((Digest::Md5, ..)) if md5 == Md5::Refused => Err(OLD),
        Some((digest, prefix, _)) => Ok([prefix, &digest.tag(key, challenge)].concat()),
    }
}

/// What an answer to a challenge is worth. It may be by another digest than the challenge's.
pub(crate) fn judge(key: &AuthKey, challenge: &[u8], answer: &[u8], md5: Md5) -> Verdict {
    let (digest, tag) = match Digest::split(answer) {
        // Bytes that start with a name by chance are still an MD5.
        _ if answer.len() == MD5_LENGTH => (Digest::Md5, answer),
        Some((digest, _, tag)) => (digest, tag),
        None => return Verdict::Wrong,
    };
    match digest {
        _ if !digest.verify(key, challenge, tag) => Verdict::Wrong,
        Digest::Md5 if md5 == Md5::Refused => Verdict::RightByMd5,
        _ => Verdict::Right,
    }
}

fn tag<D: Hash + BlockSizeUser>(key: &AuthKey, message: &[u8]) -> Vec<u8> {
    keyed::<D>(key, message).finalize().into_bytes().to_vec()
}

fn verify<D: Hash + BlockSizeUser>(key: &AuthKey, message: &[u8], tag: &[u8]) -> bool {
    keyed::<D>(key, message).verify_slice(tag).is_ok()
}

fn keyed<D: Hash + BlockSizeUser>(key: &AuthKey, message: &[u8]) -> SimpleHmac<D> {
    // HMAC takes keys of any length: longer ones are hashed, shorter ones padded.
    let mut mac = SimpleHmac::<D>::new_from_slice(key.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(message);
    mac
}

/// The answer of Python before 3.12 to any challenge.
#[cfg(test)]
pub(crate) fn old_answer(key: &AuthKey, challenge: &[u8]) -> Vec<u8> {
    Digest::Md5.tag(key, challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Challenges and answers between Pythons of several versions, with the key `qiye`.
    const RECORDED: [(&str, &str); 6] = [
        ("9e4b4b2ffbe94ba3a336e0d9916c6b80071d6238", "142bdca01c63f31addc6b02c55014b53"),
        ("944659ee11fb35daa116feef6cbdc047b7ff5754", "51cd48d41a511c8e8a0a98ddc0d2078c"),
        // Starts with the opening brace by chance.
        ("7b8cf39e0e2b5806bca828d2697104301d17d806", "a976d72bac17e6f9571495c457a26780"),
        (
            "7b7368613235367d 37cd25fb731a747095744d0aefff347217ff7403ca0db4224af9577e313d6865ece5dca59dfd737f",
            "7b7368613235367d 8a989316d8d28d37d4486cb1727f72abe1b75e941b4ac2243ae0fba8708493a7",
        ),
        (
            "7b7368613235367d 34994cf89e82ef3f247d44dffa5ef74df011026c7544b9ee10b21784be028051db9b45a8d247b385",
            "7b7368613235367d 7f010b2ebbf83d23480499650fc6b9fa8832a3321ad8b5ec8c6d75e10b260267",
        ),
        ("0ef13ac8f77bb2851f7a9adf3b948f9299acde06", "bd10da699ac2a8df93920522eff28b97"),
    ];

    /// What Python before 3.12 answers to challenges of 3.12 and later.
    const RECORDED_OLD_ANSWERS: [(&str, &str); 2] = [
        (
            "7b7368613235367d 8a093f4cf90802bfc6200fe581536d0d8a4c2e83cb6a767b658da45a8ab37b613766dfd89d603e41",
            "de088bf89f7dcba0f7afe616040e466d",
        ),
        (
            "7b7368613235367d 4af262852250e2c8f7de4b90c841b5c12ec1f806e3a5b59fd7db3d1f3a8f9830e32b27939ca8b7d3",
            "10f2df46d9bfd867010612f5eba59c47",
        ),
    ];

    #[test]
    fn challenges_of_every_python_are_answered_as_python_does() {
        let key = AuthKey::new("qiye");
        for (challenge, expected) in RECORDED {
            assert_eq!(answer(&key, &unhex(challenge), Md5::Allowed).unwrap(), unhex(expected));
        }
    }

    #[test]
    fn answers_of_every_python_are_right() {
        let key = AuthKey::new("qiye");
        for (challenge, answer) in RECORDED.into_iter().chain(RECORDED_OLD_ANSWERS) {
            let (challenge, answer) = (unhex(challenge), unhex(answer));
            assert_eq!(judge(&key, &challenge, &answer, Md5::Allowed), Verdict::Right);
            let other = AuthKey::new("eyiq");
            assert_eq!(judge(&other, &challenge, &answer, Md5::Allowed), Verdict::Wrong);
            let strict = judge(&key, &challenge, &answer, Md5::Refused);
            let by_md5 = answer.len() == MD5_LENGTH;
            assert_eq!(strict == Verdict::RightByMd5, by_md5, "{strict:?}");
        }
    }

    #[test]
    fn an_answer_by_any_allowed_digest_will_do() {
        let (key, challenge) = (AuthKey::new("qiye"), challenge(&[b'a'; 40]));
        for (prefix, digest) in Digest::ALL {
            let answer = [prefix, &digest.tag(&key, &challenge)].concat();
            assert!(matches!(answer.len(), 21 | 40 | 56 | 42 | 58));
            assert_eq!(judge(&key, &challenge, &answer, Md5::Allowed), Verdict::Right);
            let longer = [answer.as_slice(), b"x"].concat();
            assert_eq!(judge(&key, &challenge, &longer, Md5::Allowed), Verdict::Wrong);
            let shorter = &answer[..answer.len() - 1];
            assert_eq!(judge(&key, &challenge, shorter, Md5::Allowed), Verdict::Wrong);
        }
    }

    #[test]
    fn digests_are_those_of_python() {
        // hmac.new(b'qiye', b'{sha256}' + 40 * b'a', name).hexdigest() of Python 3.13.
        let (key, challenge) = (AuthKey::new("qiye"), challenge(&[b'a'; 40]));
        for (digest, expected) in [
            (Digest::Md5, "a9403bac6a7f7b4f5e7c55ce26089384"),
            (Digest::Sha256, "82de0c34608b5abb0e86f8a85c7f4157b6f54abc255b1153db5730ba8668a4ab"),
            (
                Digest::Sha384,
                "ce3c15d21967a1b22454695e6c25bcd49fdecfeb7e2fdecb3a6fd18b24017ed73d650f42f823ddad0b9a8dec54fe7e8b",
            ),
            (Digest::Sha3_256, "b5340283335bd132996ac8bd480e8db85e6afc732aaefb72d0475092580cab25"),
            (
                Digest::Sha3_384,
                "e3d8a3c5c359ded4aa85e96d56c31fee7405677f10191df037e90bcfe95911c103b0a6e85e3e72ca8d4d61a362a9f9de",
            ),
        ] {
            assert_eq!(digest.tag(&key, &challenge), unhex(expected), "{digest:?}");
        }
    }

    #[test]
    fn what_no_python_answers_is_wrong() {
        let (key, challenge) = (AuthKey::new("qiye"), challenge(&[b'a'; 40]));
        let sha256 = Digest::Sha256.tag(&key, &challenge);
        let raw_md5 = Digest::Md5.tag(&key, &challenge);
        for answer in [
            b"".to_vec(),
            b"{sha256}".to_vec(),
            sha256.clone(),
            [b"{sha1}".as_slice(), &sha256[..20]].concat(),
            [b"{sha512}".as_slice(), &sha256, &sha256].concat(),
            [raw_md5.as_slice(), b"1234"].concat(),
            vec![0; 16],
            vec![b'{'; 256],
        ] {
            assert_eq!(judge(&key, &challenge, &answer, Md5::Allowed), Verdict::Wrong);
        }
    }

    #[test]
    fn challenges_that_python_refuses_get_no_answer() {
        let key = AuthKey::new("qiye");
        for challenge in [
            &b""[..],
            &[7; 19],
            &[7; 21],
            b"{sha256}aaaaaaaaaaa",
            b"{sha512}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"{sha1}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            answer(&key, challenge, Md5::Allowed).unwrap_err();
        }
        // Twenty bytes ask for MD5, whatever they start with.
        assert_eq!(answer(&key, b"{sha256}aaaaaaaaaaaa", Md5::Allowed).unwrap().len(), 16);
        for challenge in [&[7; 20][..], b"{md5}aaaaaaaaaaaaaaaaaaaaaaa"] {
            answer(&key, challenge, Md5::Refused).unwrap_err();
        }
    }
}
