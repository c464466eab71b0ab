//! Standard output and standard error, either of which may be a pipe that is closed.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;

/// Whoever read standard output does so no more, as `head` once it has its lines: no failure, and
/// nothing is left to do for a program that only prints.
#[derive(Debug)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for Closed {}

/// Prints a line, or several with line breaks between them; a [`Closed`] error if nobody reads.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    explain(try_print(text))
}

/// [`print()`], with the error as it is.
pub fn try_print(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// The error of [`try_print`] as the program's.
pub fn explain(printed: io::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Says something on standard error. If nobody reads it, there is nobody to tell that either.
pub fn say(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
