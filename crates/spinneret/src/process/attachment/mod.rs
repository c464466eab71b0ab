//! File descriptors that travel inside serialized values.
//!
//! A queue, a pipe or shared memory is a descriptor, and a descriptor is no bytes. So while a value
//! is serialized by [`encode`], a collector stands by on this thread: [`attach`] hands it the
//! descriptor and writes its number in the message. The descriptors go beside the bytes over a Unix
//! socket ([`send`], [`receive`]), and [`decode`] has them at hand when [`detach`] asks by number.
//!
//! Whatever else serializes values, such as a queue on the network, has no collector: [`attach`]
//! then fails, and [`refusing`] tells the caller that this was why.
//!
//! Descriptors are close-on-exec from the moment they arrive, and those that nobody takes are closed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread::LocalKey;

use serde::de::DeserializeOwned;
#[cfg(unix)]
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

#[cfg(unix)]
pub(crate) use self::unix::{Descriptor, ReceiveError, receive, send, send_plain, send_some};
#[cfg(windows)]
pub(crate) use self::windows::Descriptor;
use crate::task::{self, EncodeError};

/// The most descriptors in one message. The kernel takes up to 253.
pub(crate) const MOST: usize = 64;

/// Why bytes and descriptors could not become a value.
pub(crate) type DecodeError = rmp_serde::decode::Error;

/// An encoded value and the descriptors in it, as they arrive.
pub(crate) type Arrived = (Vec<u8>, Vec<Descriptor>);

/// What [`attach`] does while a value is serialized.
#[derive(Default)]
struct Outgoing {
    /// The descriptors so far, where they can travel.
    fds: Option<Vec<Arc<Descriptor>>>,
    /// Why one was refused, if one was.
    refusal: Option<Refusal>,
}

/// Why [`attach`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The value goes where descriptors cannot.
    NotSendable,
    /// The message has [`MOST`] already.
    TooMany,
}

thread_local! {
    static COLLECTING: Cell<bool> = const { Cell::new(false) };
    static OUTGOING: RefCell<Outgoing> = RefCell::default();
    /// What [`detach`] may take: by number, each once.
    static INCOMING: RefCell<Vec<Option<Descriptor>>> = const { RefCell::new(Vec::new()) };
}

/// Puts a former state back when the work with another is over, also by a panic in a user's type.
struct Restore<T: Default + 'static> {
    place: &'static LocalKey<RefCell<T>>,
    former: T,
}

impl<T: Default> Restore<T> {
    /// Puts `new` in place.
    fn later(place: &'static LocalKey<RefCell<T>>, new: T) -> Self {
        Self { place, former: place.replace(new) }
    }
}

impl<T: Default> Drop for Restore<T> {
    fn drop(&mut self) {
        self.place.replace(std::mem::take(&mut self.former));
    }
}

/// Encodes a value as [`task::to_bytes`] does, and collects the descriptors in it.
pub(crate) fn encode<T: Serialize>(
    value: &T,
) -> Result<(Vec<u8>, Vec<Arc<Descriptor>>), EncodeError> {
    let collector = Outgoing { fds: Some(Vec::new()), refusal: None };
    let _restore = Restore::later(&OUTGOING, collector);
    let _collecting = Collecting::begin();
    let bytes = task::to_bytes(value);
    let Outgoing { fds, refusal } = OUTGOING.take();
    match bytes {
        Ok(bytes) => Ok((bytes, fds.unwrap_or_default())),
        Err(error) => Err(refusal.map_or(error, EncodeError::refused::<T>)),
    }
}

/// Whether a collector stands by on this thread: asked for each item of a queue, so that it is no
/// more than a flag.
struct Collecting {
    before: bool,
}

impl Collecting {
    fn begin() -> Self {
        Self { before: COLLECTING.replace(true) }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        COLLECTING.set(self.before);
    }
}

/// [`refusing`] for what is serialized often: tells of a refusal only if it fails.
#[inline]
pub(crate) fn without<T, E>(
    serialize: impl FnOnce() -> Result<T, E>,
) -> Result<T, (E, Option<Refusal>)> {
    if COLLECTING.get() {
        let (result, refusal) = refusing(serialize);
        return result.map_err(|error| (error, refusal));
    }
    serialize()
        .map_err(|error| (error, OUTGOING.with_borrow_mut(|outgoing| outgoing.refusal.take())))
}

/// Runs what serializes a value for a place that descriptors cannot reach, and tells whether one
/// was refused on the way.
pub(crate) fn refusing<R>(serialize: impl FnOnce() -> R) -> (R, Option<Refusal>) {
    if OUTGOING.with_borrow(|outgoing| outgoing.fds.is_none() && outgoing.refusal.is_none()) {
        // Nobody collects: nothing to keep away from.
        let result = serialize();
        return (result, OUTGOING.with_borrow_mut(|outgoing| outgoing.refusal.take()));
    }
    let _restore = Restore::later(&OUTGOING, Outgoing::default());
    let result = serialize();
    (result, OUTGOING.take().refusal)
}

/// Decodes a value that [`encode`] encoded, with its descriptors.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    fds: Vec<Descriptor>,
) -> Result<T, DecodeError> {
    // Most messages have none, and are decoded for nobody's sake but their own.
    if fds.is_empty() && INCOMING.with_borrow(Vec::is_empty) {
        return task::decode(bytes);
    }
    let _restore = Restore::later(&INCOMING, fds.into_iter().map(Some).collect());
    task::decode(bytes)
}

/// Serializes a descriptor: the number under which it travels beside the message.
#[cfg(unix)]
pub(crate) fn attach<S: Serializer>(
    fd: &Arc<Descriptor>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    collect(Some(fd))?.serialize(serializer)
}

/// Serializes by `write` what may go only where descriptors can, though it has none.
#[cfg(windows)]
pub(crate) fn mark<S: Serializer>(
    serializer: S,
    write: impl FnOnce(S) -> Result<S::Ok, S::Error>,
) -> Result<S::Ok, S::Error> {
    collect(None)?;
    write(serializer)
}

/// Hands a descriptor, if there is one, to who collects them: its number.
fn collect<E: serde::ser::Error>(fd: Option<&Arc<Descriptor>>) -> Result<u64, E> {
    let number = OUTGOING.with_borrow_mut(|outgoing| {
        let refusal = match &mut outgoing.fds {
            None => Refusal::NotSendable,
            Some(fds) if fds.len() >= MOST => Refusal::TooMany,
            Some(fds) => {
                let number = fds.len() as u64;
                fds.extend(fd.cloned());
                return Ok(number);
            }
        };
        outgoing.refusal = Some(refusal);
        Err(refusal)
    });
    number.map_err(|refusal| {
        E::custom(match refusal {
            Refusal::NotSendable => {
                "a queue, pipe or shared memory is of this machine alone: it can be sent to \
                 processes started by this program, not over the network or into a file"
            }
            Refusal::TooMany => "more queues, pipes or shared memories than one message can carry",
        })
    })
}

/// Deserializes a descriptor that [`attach`] serialized.
#[cfg(unix)]
pub(crate) fn detach<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Descriptor, D::Error> {
    let number = u64::deserialize(deserializer)?;
    let taken = INCOMING.with_borrow_mut(|fds| {
        usize::try_from(number).ok().and_then(|number| fds.get_mut(number)).and_then(Option::take)
    });
    taken.ok_or_else(|| {
        D::Error::custom(format!(
            "the message has no file descriptor number {number}, or it was taken before"
        ))
    })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, IoSlice, IoSliceMut, Read, Write};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::panic::catch_unwind;

    use rustix::io::{Errno, FdFlags, fcntl_getfd};
    use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use serde::ser::Error as _;

    use super::unix::*;
    use super::*;

    #[derive(Clone, Debug)]
    struct Fd(Arc<OwnedFd>);

    impl Serialize for Fd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            attach(&self.0, serializer)
        }
    }

    impl<'de> Deserialize<'de> for Fd {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            detach(deserializer).map(|fd| Self(Arc::new(fd)))
        }
    }

    /// Panics while it is serialized.
    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("as meant")
        }
    }

    /// A value whose serialization contains that of another message.
    struct Nested(Fd);

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let (_, fds) = encode(&self.0).map_err(S::Error::custom)?;
            assert_eq!(fds.len(), 1);
            assert!(matches!(
                task::encode(&self.0),
                Err(EncodeError::NotSendableOverNetwork { .. })
            ));
            assert!(catch_unwind(|| encode(&Panics)).is_err());
            attach(&self.0.0, serializer)
        }
    }

    /// A pipe whose writer says which it is.
    fn pipe(name: &str) -> Fd {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(name.as_bytes()).unwrap();
        Fd(Arc::new(reader.into()))
    }

    fn name(fd: &Fd) -> String {
        let mut text = String::new();
        File::from(fd.0.try_clone().unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    fn copies(fds: &[Arc<OwnedFd>]) -> Vec<OwnedFd> {
        fds.iter().map(|fd| fd.try_clone().unwrap()).collect()
    }

    #[test]
    fn descriptors_come_back_where_they_were() {
        let value = vec![("a", Some(pipe("a"))), ("none", None), ("b", Some(pipe("b")))];
        let (bytes, fds) = encode(&value).unwrap();
        assert_eq!(fds.len(), 2);
        let back: Vec<(String, Option<Fd>)> = decode(&bytes, copies(&fds)).unwrap();
        for (key, fd) in back {
            assert_eq!(fd.map_or_else(|| "none".to_owned(), |fd| name(&fd)), key);
        }
    }

    #[test]
    fn a_message_within_a_message_keeps_its_own_descriptors() {
        let (bytes, fds) = encode(&(pipe("a"), Nested(pipe("b")))).unwrap();
        assert_eq!(fds.len(), 2);
        let (a, b): (Fd, Fd) = decode(&bytes, copies(&fds)).unwrap();
        assert_eq!((name(&a), name(&b)), ("a".to_owned(), "b".to_owned()));
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        assert!(catch_unwind(|| encode(&(pipe("a"), Panics))).is_err());
        assert!(matches!(
            task::encode(&pipe("a")),
            Err(EncodeError::NotSendableOverNetwork { .. })
        ));
        let (_, fds) = encode(&pipe("b")).unwrap();
        assert_eq!(fds.len(), 1);
    }

    #[test]
    fn what_goes_elsewhere_is_refused_with_the_reason() {
        let error = task::encode(&pipe("a")).unwrap_err();
        assert!(matches!(&error, EncodeError::NotSendableOverNetwork { .. }));
        assert!(error.to_string().contains("network"), "{error}");
        assert!(
            spinneret_pickle::to_bytes(&pipe("a"), spinneret_pickle::Dialect::Python38).is_err()
        );
    }

    #[test]
    fn a_message_has_no_more_than_its_share() {
        let fd = pipe("a");
        let (_, fds) = encode(&vec![&fd; MOST]).unwrap();
        assert_eq!(fds.len(), MOST);
        assert!(matches!(encode(&vec![&fd; MOST + 1]), Err(EncodeError::TooManyAttachments)));
    }

    #[test]
    fn numbers_that_are_missing_or_taken_are_errors_and_the_rest_is_closed() {
        let (reader, mut writer) = io::pipe().unwrap();
        for bytes in [
            rmp_serde::to_vec(&(0, 0)).unwrap(),
            rmp_serde::to_vec(&(0, 1)).unwrap(),
            rmp_serde::to_vec(&(u64::MAX, 0)).unwrap(),
            rmp_serde::to_vec(&(-1, 0)).unwrap(),
        ] {
            let fds = vec![reader.try_clone().unwrap().into()];
            assert!(decode::<(Fd, Fd)>(&bytes, fds).is_err(), "{bytes:?}");
        }
        assert!(task::decode::<Fd>(&[0]).is_err());
        decode::<u8>(&[0], vec![reader.into()]).unwrap();
        // No reader is left.
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn garbage_never_panics() {
        let (bytes, fds) = encode(&vec![Some(pipe("a")), None, Some(pipe("b"))]).unwrap();
        for at in 0..bytes.len() {
            for byte in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = decode::<Vec<Option<Fd>>>(&changed, copies(&fds));
                let _ = decode::<Fd>(&changed[at..], copies(&fds));
            }
        }
    }

    #[test]
    fn descriptors_arrive_beside_their_bytes_and_close_on_exec() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, b"plain", &[]).unwrap();
        send(&ours, b"first", &[pipe("1").0, pipe("2").0]).unwrap();
        send(&ours, b"second", &[pipe("3").0]).unwrap();
        drop(ours);
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        loop {
            let mut buffer = [0; 7];
            let slices = &mut [IoSliceMut::new(&mut buffer)];
            let received = receive(&theirs, slices, &mut fds, RecvFlags::empty()).unwrap();
            if received.bytes == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..received.bytes]);
            let begun = match bytes.len() {
                0..=5 => 0,
                6..=10 => 2,
                _ => 3,
            };
            assert!(fds.len() >= begun, "{} of {} bytes", fds.len(), bytes.len());
        }
        assert_eq!(bytes, b"plainfirstsecond");
        assert!(fds.iter().all(|fd| fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC)));
        let names: Vec<_> = fds.into_iter().map(|fd| name(&Fd(Arc::new(fd)))).collect();
        assert_eq!(names, ["1", "2", "3"]);
    }

    #[test]
    fn much_data_goes_with_its_descriptors_at_the_head() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let fd = pipe("x").0;
        let bytes = vec![7; 5 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| send(&ours, &bytes, &[fd]).unwrap());
            let (mut count, mut fds) = (0, Vec::new());
            let mut buffer = vec![0; 64 * 1024];
            while count < bytes.len() {
                let slices = &mut [IoSliceMut::new(&mut buffer)];
                count += receive(&theirs, slices, &mut fds, RecvFlags::empty()).unwrap().bytes;
                assert_eq!(fds.len(), 1);
            }
        });
    }

    #[test]
    fn too_many_descriptors_are_an_error_and_closed() {
        for count in [CARRIED + 1, 2 * CARRIED] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (reader, mut writer) = io::pipe().unwrap();
            // As a peer would that knows no bounds.
            let many = vec![reader.as_fd(); count];
            let mut space =
                vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2 * CARRIED))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
            sendmsg(&ours, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
            drop(reader);

            let (mut buffer, mut fds) = ([0; 8], Vec::new());
            let slices = &mut [IoSliceMut::new(&mut buffer)];
            let error = receive(&theirs, slices, &mut fds, RecvFlags::empty()).unwrap_err();
            assert!(matches!(error, ReceiveError::Truncated), "{error}");
            assert!(fds.is_empty());
            assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn more_than_a_message_may_have_is_not_sent() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let fds: Vec<_> = vec![pipe("x"); CARRIED + 1].into_iter().map(|fd| fd.0).collect();
        assert_eq!(send(&ours, b"x", &fds), Err(Errno::TOOMANYREFS));
    }
}
