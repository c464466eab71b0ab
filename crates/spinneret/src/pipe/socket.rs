//! Packets on a Unix socket that keeps them apart.
//!
//! A packet is eight bytes of header, then the message. One that is too long for a packet is
//! written to a file in memory, whose descriptor travels in its stead: so every message comes by
//! one packet, and is there as a whole when it is there. With the file goes the writing end of a
//! pipe: the sender waits until nobody has it any more, which is when the message was taken, so
//! that no more than one such message of each sender takes up memory.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod unix;

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

#[cfg(target_os = "linux")]
use self::linux::{INLINE, file_in_memory, fits};
#[cfg(target_os = "linux")]
pub(super) use self::linux::{is_end, pair};
#[cfg(not(target_os = "linux"))]
use self::unix::{INLINE, file_in_memory, fits};
#[cfg(not(target_os = "linux"))]
pub(super) use self::unix::{is_end, pair};

use crate::process::attachment::{self, ReceiveError};
use crate::process::link;
use crate::task::LARGEST;

/// The most bytes of a packet that is put together on the stack.
const SMALL: usize = 512;

/// The length of the header: what was sent, where it is, two zeros, and its length, little-endian.
const HEADER: usize = 8;

/// A message that is longer is not waiting in the pipe: its sender waits until it is taken.
const WAITING: usize = 64 * 1024;

/// Where a message is.
const WITHIN: u8 = 0;
const BESIDE: u8 = 1;

thread_local! {
    /// Where packets are received; kept, since making it costs more than most messages.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value = 1,
    Bytes = 2,
}

/// A message that is ready to go.
pub(super) struct Outgoing<'a> {
    header: [u8; HEADER],
    /// Within the packet; empty if the message goes beside.
    within: Cow<'a, [u8]>,
    fds: Vec<Arc<OwnedFd>>,
    /// What ends when the receiver has taken a message that went beside.
    taken: Option<OwnedFd>,
}

impl<'a> Outgoing<'a> {
    /// The message must be no longer than [`LARGEST`].
    pub(super) fn new(
        kind: Kind,
        message: Cow<'a, [u8]>,
        fds: Vec<Arc<OwnedFd>>,
    ) -> io::Result<Self> {
        let mut header = [kind as u8, WITHIN, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&(message.len() as u32).to_le_bytes());
        let mut packet = Self { header, within: message, fds, taken: None };
        if !fits(packet.within.len()) {
            packet.move_beside()?;
        }
        Ok(packet)
    }

    /// The same, without a loan. What goes beside was copied before.
    pub(super) fn into_owned(self) -> Outgoing<'static> {
        Outgoing { within: Cow::Owned(self.within.into_owned()), ..self }
    }

    fn move_beside(&mut self) -> io::Result<()> {
        let mut file = File::from(file_in_memory()?);
        file.write_all(&self.within)?;
        let (reader, writer) = io::pipe()?;
        let waits = self.within.len() > WAITING || fits(self.within.len());
        self.within = Cow::Borrowed(&[]);
        self.header[1] = BESIDE;
        self.fds.splice(..0, [Arc::new(file.into()), Arc::new(writer.into())]);
        self.taken = waits.then(|| reader.into());
        Ok(())
    }

    /// Hands the packet to the system, in one call. `AGAIN` if that would have to wait and `flags`
    /// forbid it. Then [`Outgoing::taken`] is to be waited for.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, flags: SendFlags) -> io::Result<()> {
        loop {
            match self.send_once(socket, flags) {
                Ok(_) => {
                    // Ours must go for the receiver's to be the last.
                    self.fds.clear();
                    return Ok(());
                }
                // The system was told to keep small buffers.
                Err(Errno::MSGSIZE) if self.taken.is_none() => self.move_beside()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send_once(&self, socket: BorrowedFd<'_>, flags: SendFlags) -> Result<usize, Errno> {
        let (header, within) = (&self.header[..], &self.within[..]);
        let length = HEADER + within.len();
        if self.fds.is_empty() && length <= SMALL {
            // A plain `send` is that much quicker than `sendmsg` that a copy pays.
            let mut packet = [0; SMALL];
            packet[..HEADER].copy_from_slice(header);
            packet[HEADER..length].copy_from_slice(within);
            return attachment::send_plain(socket, &packet[..length], flags);
        }
        let fds: Vec<_> = self.fds.iter().map(|fd| fd.as_fd()).collect();
        attachment::send_some(socket, &[IoSlice::new(header), IoSlice::new(within)], &fds, flags)
    }

    /// What ends (hangs up) when the message was taken; `None` if nobody need wait for that.
    pub(super) fn taken(&self) -> Option<&OwnedFd> {
        self.taken.as_ref()
    }

    /// Waits until the message was taken, or nobody is left to take it.
    pub(super) fn wait_until_taken(&self) {
        if let Some(taken) = &self.taken {
            link::wait_readable(taken.as_fd(), None);
        }
    }
}

/// Why no packet was received.
pub(super) enum Failure {
    Eof,
    /// There is none yet, and `flags` forbid to wait.
    Empty,
    /// The packet makes no sense, or could not be received as a whole. It is gone.
    Garbled(String),
    System(io::Error),
}

/// Receives a packet, in one call of the system, and has `read` make something of the message.
pub(super) fn receive<R>(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
    read: impl FnOnce(Kind, Cow<'_, [u8]>, Vec<OwnedFd>) -> R,
) -> Result<R, Failure> {
    // While it is taken out, what `read` calls may receive too.
    let mut buffer = BUFFER.take();
    buffer.resize(HEADER + INLINE, 0);
    let result = take(socket, flags, &mut buffer).and_then(|(length, mut fds)| {
        let packet = &buffer[..length];
        let (kind, beside) = understand(packet).map_err(Failure::Garbled)?;
        match beside {
            None => Ok(read(kind, Cow::Borrowed(&packet[HEADER..]), fds)),
            Some(length) => {
                let message = fetch(length, &mut fds).map_err(Failure::Garbled)?;
                Ok(read(kind, Cow::Owned(message), fds))
            }
        }
    });
    BUFFER.set(buffer);
    result
}

/// Takes the next packet off the socket.
fn take(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
    buffer: &mut [u8],
) -> Result<(usize, Vec<OwnedFd>), Failure> {
    let mut fds = Vec::new();
    let mut was_reset = false;
    loop {
        match attachment::receive(socket, &mut [IoSliceMut::new(buffer)], &mut fds, flags) {
            Ok(received) if received.bytes == 0 => return Err(Failure::Eof),
            Ok(received) if received.cut => {
                return Err(Failure::Garbled("it is longer than any packet".to_owned()));
            }
            Ok(received) => return Ok((received.bytes, fds)),
            // The other end went with messages of ours unread. The system says so once, before it
            // gives out what that end had sent.
            Err(ReceiveError::System(Errno::CONNRESET)) if !was_reset => was_reset = true,
            Err(ReceiveError::System(Errno::CONNRESET)) => return Err(Failure::Eof),
            Err(ReceiveError::System(Errno::AGAIN)) => return Err(Failure::Empty),
            Err(ReceiveError::System(error)) => return Err(Failure::System(error.into())),
            Err(error @ ReceiveError::Truncated) => {
                return Err(Failure::Garbled(error.to_string()));
            }
        }
    }
}

/// What a packet holds, and how long its message is if that is beside it.
fn understand(packet: &[u8]) -> Result<(Kind, Option<usize>), String> {
    let broken = || "its header makes no sense".to_owned();
    let header = packet.first_chunk::<HEADER>().ok_or_else(broken)?;
    let [kind, place, 0, 0, l0, l1, l2, l3] = *header else {
        return Err(broken());
    };
    let kind = match kind {
        1 => Kind::Value,
        2 => Kind::Bytes,
        _ => return Err(broken()),
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    match place {
        WITHIN if length == packet.len() - HEADER => Ok((kind, None)),
        BESIDE if length <= LARGEST && packet.len() == HEADER => Ok((kind, Some(length))),
        _ => Err(broken()),
    }
}

/// Reads a message that came beside its packet, and releases its sender.
fn fetch(length: usize, fds: &mut Vec<OwnedFd>) -> Result<Vec<u8>, String> {
    if fds.len() < 2 {
        return Err("its header makes no sense".to_owned());
    }
    // The second, which keeps the sender waiting, goes with them when the message was read.
    let mut own = fds.drain(..2);
    let file = own.next().map(File::from).ok_or("it has no file")?;
    let found = file.metadata().map_err(|error| error.to_string())?.len();
    if found < length as u64 {
        return Err(format!("it was cut to {found} of {length} bytes"));
    }
    let mut message = vec![0; length];
    file.read_exact_at(&mut message, 0).map_err(|error| error.to_string())?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;

    use super::*;

    type Got = (Kind, Vec<u8>, usize);

    fn receive_all(socket: &OwnedFd) -> Result<Got, Failure> {
        receive(socket.as_fd(), RecvFlags::DONTWAIT, |kind, message, fds| {
            (kind, message.into_owned(), fds.len())
        })
    }

    fn send_raw(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let bytes = [IoSlice::new(bytes)];
        attachment::send_some(socket.as_fd(), &bytes, fds, SendFlags::empty()).unwrap();
    }

    #[test]
    fn garbage_is_reported_and_the_next_packet_still_comes() {
        let (ours, theirs) = pair().unwrap();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..5000 {
            // Mostly headers that are nearly right, some with descriptors.
            let mut bytes: Vec<u8> = (0..=random() % 24).map(|_| (random() % 3) as u8).collect();
            if random() % 8 == 0 {
                bytes.fill_with(|| random() as u8);
            }
            let fds = vec![ours.as_fd(); (random() % 4) as usize];
            send_raw(&ours, &bytes, &fds);
            match receive_all(&theirs) {
                Ok((_, message, _)) => assert!(message.len() <= bytes.len()),
                Err(failure) => assert!(matches!(failure, Failure::Garbled(_)), "{bytes:?}"),
            }
        }
        Outgoing::new(Kind::Bytes, Cow::Borrowed(&[7]), Vec::new())
            .and_then(|mut packet| packet.send(ours.as_fd(), SendFlags::empty()))
            .unwrap();
        assert!(matches!(receive_all(&theirs), Ok((Kind::Bytes, message, 0)) if message == [7]));
        assert!(matches!(receive_all(&theirs), Err(Failure::Empty)));
    }

    #[test]
    fn a_file_that_is_none_or_too_short_is_garbled() {
        let (ours, theirs) = pair().unwrap();
        let header = |length: u32| {
            let [a, b, c, d] = length.to_le_bytes();
            [1, BESIDE, 0, 0, a, b, c, d]
        };
        let file = file_in_memory().unwrap();
        send_raw(&ours, &header(1), &[]);
        send_raw(&ours, &header(1), &[file.as_fd(), ours.as_fd()]);
        send_raw(&ours, &header(1), &[ours.as_fd(), ours.as_fd()]);
        send_raw(&ours, &header(u32::MAX), &[file.as_fd(), ours.as_fd()]);
        send_raw(&ours, &[1].repeat(HEADER + INLINE + 1), &[]);
        for _ in 0..5 {
            assert!(matches!(receive_all(&theirs), Err(Failure::Garbled(_))));
        }
        drop(ours);
        assert!(matches!(receive_all(&theirs), Err(Failure::Eof)));
    }

    #[test]
    fn a_small_buffer_of_the_system_is_no_limit() {
        let (ours, theirs) = pair().unwrap();
        sockopt::set_socket_send_buffer_size(&ours, 8192).unwrap();
        let mut packet = Outgoing::new(Kind::Value, vec![1; 40_000].into(), Vec::new()).unwrap();
        packet.send(ours.as_fd(), SendFlags::empty()).unwrap();
        assert!(packet.taken().is_some());
        let got = receive_all(&theirs);
        assert!(matches!(got, Ok((Kind::Value, message, 0)) if message == vec![1; 40_000]));
        packet.wait_until_taken();
    }
}
