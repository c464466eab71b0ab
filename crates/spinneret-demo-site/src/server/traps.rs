//! Answers that break the rules of HTTP, or of good company.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::reply::{After, status_line};

/// The misbehaving addresses that no page refers to, because they cost time, and what each does.
/// Tests and the curious ask for them by name.
pub const TRAPS: [(&str, &str); 12] = [
    ("/trap/slow", "a whole PNG, a few bytes every 100 ms, over about two seconds"),
    ("/trap/trickle", "one byte of a PNG every 100 ms for 30 seconds, then the line goes dead"),
    ("/trap/held", "takes the request and says nothing for 30 seconds"),
    ("/trap/huge", "announces 10 GB, then trickles for 30 seconds"),
    ("/trap/endless", "a chunked PNG without an end, at full speed up to 256 MiB"),
    ("/trap/hang-up", "closes the connection instead of answering"),
    ("/trap/garbage", "answers with something that is not HTTP"),
    ("/trap/long-header", "a header of 1 MiB"),
    (
        "/trap/flaky",
        "503 to the first two requests for it, a PNG from the third on; each query apart",
    ),
    ("/trap/busy", "429 with Retry-After: 1 to the first request, then a PNG; each query apart"),
    ("/trap/to-metadata", "redirects to http://169.254.169.254/latest/meta-data/"),
    ("/trap/to-file", "redirects to file:///etc/passwd"),
];

/// How long the slow traps last at most.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);
/// What is announced by the traps that promise too much.
const TEN_GIGABYTES: u64 = 10_000_000_000;

/// A way to misbehave. The images they hold are whole PNGs.
#[derive(Clone, Debug)]
pub(crate) enum Trap {
    /// `Content-Length` says twice what comes.
    CutShort(Bytes),
    /// The last chunk says twice what comes.
    CutChunk(Bytes),
    /// Announces 10 GB, sends the image and hangs up.
    TenGigabytes(Bytes),
    /// Announces 10 GB and trickles.
    Huge(Bytes),
    /// The whole image, slowly.
    Slow(Bytes),
    /// The image, too slowly to ever end.
    Trickle(Bytes),
    /// No answer.
    Held,
    /// Chunks without an end.
    Endless(Bytes),
    /// Not even a status line.
    HangUp,
    /// Not HTTP.
    Garbage,
    /// Header lines without end.
    LongHeader,
    /// Unavailable at first; answered without springing.
    Flaky(Bytes),
    /// Too many requests at first; answered without springing.
    Busy(Bytes),
}

impl Trap {
    /// Misbehaves. What needs no raw socket (`Flaky`, `Busy`) is not sprung but answered.
    pub(super) async fn spring(&self, stream: &mut TcpStream) -> io::Result<After> {
        match self {
            Self::CutShort(image) => {
                let mut message = head(&format!("Content-Length: {}", image.len() * 2));
                message.extend_from_slice(image);
                stream.write_all(&message).await?;
                return Ok(After::Close);
            }
            Self::CutChunk(image) => {
                let mut message = head("Transfer-Encoding: chunked");
                message.extend(format!("{:x}\r\n", image.len() * 2).into_bytes());
                message.extend_from_slice(image);
                stream.write_all(&message).await?;
                return Ok(After::Close);
            }
            Self::TenGigabytes(image) => {
                let mut message = head(&format!("Content-Length: {TEN_GIGABYTES}"));
                message.extend_from_slice(image);
                stream.write_all(&message).await?;
                return Ok(After::Close);
            }
            Self::Huge(image) => {
                let head = head(&format!("Content-Length: {TEN_GIGABYTES}"));
                stream.write_all(&head).await?;
                trickle(stream, image).await?;
            }
            Self::Trickle(image) => {
                // More than what is sent in time, so that it never looks complete.
                stream.write_all(&head("Content-Length: 100000")).await?;
                trickle(stream, image).await?;
            }
            Self::Slow(image) => {
                stream.write_all(&head(&format!("Content-Length: {}", image.len()))).await?;
                for part in image.chunks(image.len().div_ceil(20).max(1)) {
                    sleep(STEP).await;
                    stream.write_all(part).await?;
                }
                return Ok(After::Close);
            }
            Self::Held => {
                // Until the client loses patience, or for as long as this trap lasts.
                let mut ignored = [0; 512];
                let leaves = async {
                    while stream.read(&mut ignored).await? > 0 {}
                    Ok(())
                };
                return timeout(PATIENCE, leaves).await.unwrap_or(Ok(())).map(|()| After::Drop);
            }
            Self::Endless(image) => {
                let mut message = head("Transfer-Encoding: chunked");
                chunk(&mut message, image);
                stream.write_all(&message).await?;
                let mut zeros = Vec::new();
                chunk(&mut zeros, &vec![0; 64 * 1024]);
                for _ in 0..4096 {
                    stream.write_all(&zeros).await?;
                }
            }
            Self::Garbage => {
                stream.write_all(b"\x00\xff eight legs good, two legs bad\r\n\r\n").await?;
                return Ok(After::Close);
            }
            Self::LongHeader => {
                stream.write_all(status_line(200).as_bytes()).await?;
                let line = format!("X-Thread: {}\r\n", "silk".repeat(250));
                stream.write_all(line.repeat(1040).as_bytes()).await?;
                stream.write_all(b"Content-Length: 0\r\nConnection: close\r\n\r\n").await?;
                return Ok(After::Close);
            }
            Self::HangUp | Self::Flaky(_) | Self::Busy(_) => {}
        }
        Ok(After::Drop)
    }
}

/// A good beginning: 200, PNG, and one more line.
fn head(line: &str) -> Vec<u8> {
    format!("{}Content-Type: image/png\r\n{line}\r\nConnection: close\r\n\r\n", status_line(200))
        .into_bytes()
}

fn chunk(message: &mut Vec<u8>, data: &[u8]) {
    message.extend(format!("{:x}\r\n", data.len()).into_bytes());
    message.extend_from_slice(data);
    message.extend_from_slice(b"\r\n");
}

/// Sends a byte at a time, from the image and then zeros, until patience ends.
async fn trickle(stream: &mut TcpStream, image: &[u8]) -> io::Result<()> {
    let steps = PATIENCE.as_millis() / STEP.as_millis();
    let bytes = image.iter().copied().chain(std::iter::repeat(0));
    for (_, byte) in (0..steps).zip(bytes) {
        stream.write_all(&[byte]).await?;
        sleep(STEP).await;
    }
    Ok(())
}

/// Where an address of the ever-growing redirect leads: `/forever/7` to `/forever/8`.
pub(super) fn next_in_forever(target: &str) -> Option<String> {
    let step: u64 = target.strip_prefix("/forever/")?.parse().ok()?;
    Some(format!("/forever/{}", step.checked_add(1)?))
}
