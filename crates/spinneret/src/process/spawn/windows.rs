//! The link is a loopback connection, which the child makes. What to connect to, and the secret that
//! proves that it is our child, are in its environment, where no other user can read them.

use std::env;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};

use crate::process::StartError;
use crate::process::entry::{self, MARKER, Marker, Role};
use crate::process::link::Link;

/// How long a child may take to connect: a busy machine is no fault.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(1);

/// How long one that connected may take to say the secret.
const SECRET_PATIENCE: Duration = Duration::from_secs(5);

/// What only a child of ours knows.
pub(crate) type Secret = [u8; 16];

/// Ends the workers of this process with it, whatever ends it: the system closes the handle then.
static JOB: LazyLock<Option<OwnedHandle>> = LazyLock::new(|| job().ok());

fn job() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes and no name are asked for.
    let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if job.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made, and is nobody else's.
    let job = unsafe { OwnedHandle::from_raw_handle(job) };
    // SAFETY: for the structure, all zeroes are a value.
    let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = size_of_val(&limits) as u32;
    // SAFETY: the handle is open, and the structure is of the class that is named.
    let set = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size,
        )
    };
    if set == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
}

/// A secret that nobody can guess.
pub(crate) fn secret() -> io::Result<Secret> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(secret)
}

/// Whether one who connected says the secret, in good time.
pub(crate) fn knows(mut stream: &TcpStream, secret: &Secret) -> bool {
    let mut said = Secret::default();
    stream.set_nonblocking(false).is_ok()
        && stream.set_read_timeout(Some(SECRET_PATIENCE)).is_ok()
        && stream.read_exact(&mut said).is_ok()
        // All of it is compared, so that the time it takes tells nothing.
        && said.iter().zip(secret).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Connects to `address` and says the secret.
pub(crate) fn connect(address: SocketAddr, secret: &Secret) -> io::Result<Link> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(secret)?;
    Link::over(stream)
}

/// Starts the program and waits for it to connect; it learns from the link what to do.
pub(in super::super) fn spawn(role: Role) -> Result<(Child, Link), StartError> {
    let mut marker = entry::marker(role)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(StartError::Spawn)?;
    listener.set_nonblocking(true).map_err(StartError::Spawn)?;
    let port = listener.local_addr().map_err(StartError::Spawn)?.port();
    let secret = secret().map_err(StartError::Spawn)?;
    marker.place = Some(place(port, &secret));
    let image = env::current_exe().map_err(StartError::Spawn)?;
    let mut command = Command::new(image);
    command.env(MARKER, marker.to_string()).stdin(Stdio::null());
    let mut child = command.spawn().map_err(StartError::Spawn)?;
    if role == Role::Worker
        && let Some(job) = &*JOB
    {
        // SAFETY: both handles are open. If the system refuses, the end of the link tells the worker
        // of our end all the same.
        let _ = unsafe {
            AssignProcessToJobObject(job.as_raw_handle(), child.as_handle().as_raw_handle())
        };
    }
    match accept(&listener, &secret, &mut child) {
        Ok(link) => Ok((child, link)),
        Err(error) => {
            // It fails only for a child that is gone.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn accept(listener: &TcpListener, secret: &Secret, child: &mut Child) -> Result<Link, StartError> {
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) if knows(&stream, secret) => {
                return Link::over(stream).map_err(StartError::Spawn);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK),
            Err(error) => return Err(StartError::Spawn(error)),
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(StartError::Died { signal: None, exit_code: status.code() });
        }
        if start.elapsed() > PATIENCE {
            return Err(StartError::Silent { after: PATIENCE });
        }
    }
}

/// Where to connect and what to say, as the marker has it: the port, a dash, and the secret.
fn place(port: u16, secret: &Secret) -> String {
    let mut place = format!("{port}-");
    for byte in secret {
        // Writing to a string does not fail.
        let _ = write!(place, "{byte:02x}");
    }
    place
}

fn read_place(place: &str) -> Option<(u16, Secret)> {
    let (port, digits) = place.split_once('-')?;
    let mut secret = Secret::default();
    if digits.len() != 2 * secret.len() || !digits.is_ascii() {
        return None;
    }
    for (index, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some((port.parse().ok()?, secret))
}

/// The child's end of the link.
pub(in super::super) fn take_over(marker: &Marker) -> Result<Link, String> {
    let (port, secret) = marker.place.as_deref().and_then(read_place).ok_or_else(|| {
        format!("{MARKER} is set, but names no pool: unset it, only a pool sets it")
    })?;
    connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &secret)
        .map_err(|_| entry::orphaned(marker.parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_comes_back() {
        let secret = secret().unwrap();
        assert_eq!(read_place(&place(4711, &secret)), Some((4711, secret)));
        for garbage in ["", "-", "1-", "1-zz", "x-00112233445566778899aabbccddeeff"] {
            assert_eq!(read_place(garbage), None);
        }
    }
}
