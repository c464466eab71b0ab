//! Sorts the HTTP client's errors into causes.

use std::error::Error;
use std::io;

use super::guard::ResolveError;
use crate::job::{Cause, Problem};

/// The cause behind a client's error, with the whole chain of its sources as the detail.
pub(super) fn classify(error: &reqwest::Error) -> Problem {
    let outermost: &(dyn Error + 'static) = error;
    let chain: Vec<&(dyn Error + 'static)> =
        std::iter::successors(Some(outermost), |error| (*error).source()).collect();
    let find = |wanted: &dyn Fn(&(dyn Error + 'static)) -> Option<Cause>| {
        chain.iter().copied().find_map(wanted)
    };
    let cause = find(&resolve_cause)
        .or_else(|| error.is_timeout().then_some(Cause::Timeout))
        .or_else(|| find(&io_cause))
        .or_else(|| find(&hyper_cause))
        .unwrap_or(match () {
            () if error.is_decode() => Cause::InvalidEncoding,
            () if error.is_builder() => Cause::MalformedAddress,
            () => Cause::Connection,
        });
    // The outermost message repeats the address, which the failure names anyway; some layers repeat
    // the message of the one below.
    let mut messages: Vec<String> = chain.iter().skip(1).map(ToString::to_string).collect();
    messages.dedup();
    let detail = if messages.is_empty() { error.to_string() } else { messages.join(": ") };
    Problem::new(cause, detail)
}

fn resolve_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    error.downcast_ref::<ResolveError>().map(|error| match error {
        ResolveError::Unresolvable { .. } => Cause::UnresolvableHost,
        ResolveError::Private { .. } => Cause::PrivateAddress,
    })
}

fn hyper_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_incomplete_message() {
        Some(Cause::Truncated)
    } else if error.is_parse() {
        Some(Cause::InvalidResponse)
    } else {
        None
    }
}

fn io_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.downcast_ref::<rustls::Error>().is_some() {
        return Some(Cause::Tls);
    }
    let error = error.downcast_ref::<io::Error>()?;
    // An io::Error does not name the error inside it as its source.
    if let Some(inner) = error.get_ref()
        && let Some(cause) = io_cause(inner).or_else(|| hyper_cause(inner))
    {
        return Some(cause);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Cause::ConnectionRefused),
        io::ErrorKind::TimedOut => Some(Cause::Timeout),
        // From a decoder whose input ended early, or from hyper for a body cut short.
        io::ErrorKind::UnexpectedEof => Some(Cause::Truncated),
        _ => None,
    }
}
