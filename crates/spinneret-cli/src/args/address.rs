//! Addresses on the command line.

use std::fmt;
use std::str::FromStr;

/// `HOST:PORT` as it stands. Whether there is such a host is seen when it is used.
pub fn host_port(text: &str) -> Result<String, String> {
    let is_whole = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    });
    if is_whole {
        return Ok(text.to_owned());
    }
    Err("not HOST:PORT, such as 127.0.0.1:8001 or [::1]:8001".to_owned())
}

/// Where to listen for this machine alone, unless a host is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress(String);

impl LocalAddress {
    /// `HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LocalAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => Ok(Self(format!("127.0.0.1:{port}"))),
            Err(_) => host_port(text)
                .map(Self)
                .map_err(|_| "not PORT (on this machine alone) or HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_on_this_machine_alone() {
        let parse = |text: &str| text.parse::<LocalAddress>().map(|address| address.0);
        assert_eq!(parse("9000").as_deref(), Ok("127.0.0.1:9000"));
        assert_eq!(parse(":9000").as_deref(), Ok("127.0.0.1:9000"));
        assert_eq!(parse("0.0.0.0:9000").as_deref(), Ok("0.0.0.0:9000"));
        assert_eq!(parse("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert!(parse("localhost").unwrap_err().contains("HOST:PORT"));
        assert!(parse("127.0.0.1:99999").is_err() && parse("").is_err());
        assert!(parse("::1:9000").is_err(), "which of the colons is before the port?");
    }

    #[test]
    fn a_host_and_a_port_make_an_address() {
        for good in ["127.0.0.1:0", "[::1]:8001", "one:8001", "one.example.org:65535"] {
            assert_eq!(host_port(good).as_deref(), Ok(good));
        }
        for bad in ["", ":8001", "8001", "one", "one:", "one:65536", "one:http", "::1:8001", "::1"]
        {
            assert!(host_port(bad).unwrap_err().contains("HOST:PORT"), "{bad}");
        }
    }
}
