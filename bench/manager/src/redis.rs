//! Redis, by hand: its protocol is short, and a client of its own would be measured too.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::{ITEM, Outcome, queue::BATCH, threads, timed};

struct Redis {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
    value: Vec<u8>,
}

impl Redis {
    fn connect(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = BufReader::with_capacity(64 << 10, stream);
        Ok(Self { reader, line: Vec::new(), value: Vec::new() })
    }

    /// Sends that many of a command in one write, and reads that many answers.
    fn ask(&mut self, command: &[u8], times: usize) -> Outcome {
        let all = command.repeat(times);
        self.reader.get_mut().write_all(&all)?;
        for _ in 0..times {
            self.line.clear();
            self.reader.read_until(b'\n', &mut self.line)?;
            match self.line.first() {
                Some(b':' | b'+') => {}
                Some(b'$') => {
                    let length: usize = str::from_utf8(&self.line[1..])?.trim().parse()?;
                    self.value.resize(length + 2, 0);
                    self.reader.read_exact(&mut self.value)?;
                }
                _ => return Err(String::from_utf8_lossy(&self.line).into()),
            }
        }
        Ok(())
    }
}

fn push() -> Vec<u8> {
    let head = format!("*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n${ITEM}\r\n");
    [head.as_bytes(), &[b'7'; ITEM], b"\r\n"].concat()
}

const POP: &[u8] = b"*2\r\n$4\r\nRPOP\r\n$1\r\nq\r\n";

/// An LPUSH, then an RPOP, one after the other.
pub fn round_trip(address: &str, count: usize) -> Outcome<Duration> {
    let (mut redis, push) = (Redis::connect(address)?, push());
    timed(count, |count| {
        for _ in 0..count {
            redis.ask(&push, 1)?;
            redis.ask(POP, 1)?;
        }
        Ok(())
    })
}

/// As many under way at a time as spinneret has in a batch, by so many clients at once.
pub fn pipelined(address: &str, count: usize, clients: usize) -> Outcome<Duration> {
    let (each, push) = (count / clients, push());
    threads(
        clients,
        || Redis::connect(address),
        |redis| {
            let mut left = each;
            while left > 0 {
                let batch = left.min(BATCH);
                redis.ask(&push, batch)?;
                redis.ask(POP, batch)?;
                left -= batch;
            }
            Ok(())
        },
    )
}

/// Many clients, each with one command at a time.
pub fn clients(address: &str, count: usize, clients: usize) -> Outcome<Duration> {
    let (each, push) = (count / clients, push());
    threads(
        clients,
        || Redis::connect(address),
        |redis| {
            for _ in 0..each {
                redis.ask(&push, 1)?;
                redis.ask(POP, 1)?;
            }
            Ok(())
        },
    )
}
