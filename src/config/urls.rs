//! Owns how strictly the URLs of settings are read, and which hosts are this machine.

use std::cell::Cell;

use url::{Host, ParseError, SyntaxViolation, Url};

/// Why a text is no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlFault {
    Malformed(ParseError),
    /// The text is read by mending it, as an address bar does. In a setting it is a mistake.
    Mended(SyntaxViolation),
}

/// Reads a URL and mends nothing in it.
pub(super) fn parse(text: &str) -> Result<Url, UrlFault> {
    let first = Cell::new(None);
    let note = |violation| first.set(first.get().or(Some(violation)));
    let url = Url::options().syntax_violation_callback(Some(&note)).parse(text).map_err(UrlFault::Malformed)?;
    first.get().map_or(Ok(url), |violation| Err(UrlFault::Mended(violation)))
}

/// Returns true if the host is this machine: no other machine reads what is sent there.
pub(crate) fn is_this_machine<T: AsRef<str>>(host: &Host<T>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_a_browser_would_mend_is_none() {
        assert!(parse("https://host.example:8443/path?query=a%20b").is_ok());
        for text in [
            "https:///host",
            "https:host",
            "https:\\\\host",
            " https://host",
            "https://ho\tst",
            "https://user@host",
            "https://host/a b",
            "host.example",
            "https://",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_is_localhost_and_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.8.9.10", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("128.0.0.1", false),
            ("[::2]", false),
        ] {
            assert_eq!(is_this_machine(&Host::parse(host).unwrap()), expected, "{host}");
        }
    }
}
