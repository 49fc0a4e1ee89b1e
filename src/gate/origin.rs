//! Owns the rule of A9: which web pages may connect. It protects users of browsers only, as other
//! clients can forge an `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::OriginPattern;

/// Returns whether a request is admitted (A9). `origin` and `host` are the texts of those headers,
/// `None` if absent. If a request repeats `Origin`, pass `Some` of a text that is not an origin,
/// such as the empty one.
///
/// A request without `Origin` comes from no browser and is admitted. With a list (`patterns`), an
/// origin must match an entry, even the server's own. Without a list, pages of the server's own
/// host are admitted, and in `open_mode` (A10) those from loopback.
pub fn admits(patterns: Option<&[OriginPattern]>, origin: Option<&str>, host: Option<&str>, open_mode: bool) -> bool {
    let Some(origin) = origin else { return true };
    // `*` admits every origin. Several origins or malformed ones are refused even so, as no browser
    // sends them.
    if origin != "null" && !is_one_origin(origin) {
        return false;
    }
    match patterns {
        Some(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        None => PageOrigin::parse(origin)
            .is_some_and(|page| host.is_some_and(|host| page.is_served_by(host)) || (open_mode && page.is_loopback())),
    }
}

fn is_one_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b",/?#@\\\"<>".contains(&b))
    })
}

/// The origin of an http or https page.
struct PageOrigin {
    /// Lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
    default_port: u16,
}

impl PageOrigin {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (host, port) = split_port(authority)?;
        Some(Self { host, port: port.unwrap_or(default_port), default_port })
    }

    /// The page's scheme gives the port of a `Host` without one: behind a proxy the server cannot
    /// tell its own scheme.
    fn is_served_by(&self, host: &str) -> bool {
        split_port(host).is_some_and(|(host, port)| host == self.host && port.unwrap_or(self.default_port) == self.port)
    }

    fn is_loopback(&self) -> bool {
        let host = self.host.as_str();
        let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
            || ipv6.is_some_and(|host| host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()))
    }
}

/// Splits `host[:port]` and returns it in lower case; `None` if it is malformed.
fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside the brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        // `parse` alone would accept "+80".
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unset(origin: &str, host: &str, open_mode: bool) -> bool {
        admits(None, Some(origin), Some(host), open_mode)
    }

    #[test]
    fn a9_without_an_origin_a_request_is_admitted_list_or_not() {
        let list = [OriginPattern::Exact("https://play.example.com".into())];
        assert!(admits(None, None, None, false));
        assert!(admits(Some(&list), None, Some("game.example.com"), false));
    }

    #[test]
    fn a9_without_a_list_same_origin_pages_are_admitted() {
        for (origin, host) in [
            ("https://game.example.com", "game.example.com"),
            ("https://Game.Example.com", "game.EXAMPLE.com"),
            ("https://game.example.com", "game.example.com:443"),
            ("https://game.example.com:443", "game.example.com"),
            ("http://game.example.com", "game.example.com:80"),
            ("http://10.0.0.7:8080", "10.0.0.7:8080"),
            ("http://[2001:db8::1]:8080", "[2001:DB8::1]:8080"),
        ] {
            assert!(unset(origin, host, false), "{origin} on {host}");
        }
    }

    #[test]
    fn a9_without_a_list_other_pages_are_refused() {
        for (origin, host) in [
            ("https://evil.example", "game.example.com"),
            ("https://game.example.com.evil.example", "game.example.com"),
            ("https://evilgame.example.com", "game.example.com"),
            ("https://game.example.com:8443", "game.example.com"),
            ("https://game.example.com", "game.example.com:80"),
            ("http://game.example.com", "game.example.com:8080"),
            ("ftp://game.example.com", "game.example.com"),
            ("http://localhost:3000", "localhost:8080"),
        ] {
            assert!(!unset(origin, host, false), "{origin} on {host}");
        }
        assert!(!admits(None, Some("https://game.example.com"), None, false));
    }

    #[test]
    fn a9_loopback_pages_are_admitted_in_development_mode_only() {
        for origin in [
            "http://localhost:5173",
            "https://LOCALHOST",
            "http://app.localhost:3000",
            "http://127.0.0.1:8000",
            "http://127.8.9.10",
            "http://[::1]:8000",
        ] {
            assert!(unset(origin, "game.example.com", true), "{origin}");
            assert!(!unset(origin, "game.example.com", false), "{origin}");
        }
        for origin in
            ["http://localhost.evil.example", "http://notlocalhost", "http://128.0.0.1", "http://127.0.0.1.evil"]
        {
            assert!(!unset(origin, "game.example.com", true), "{origin}");
        }
        let list = [OriginPattern::Exact("https://play.example.com".into())];
        assert!(!admits(Some(&list), Some("http://localhost:5173"), None, true), "a list says it all");
    }

    #[test]
    fn a9_with_a_list_an_entry_must_match_and_same_origin_is_not_implied() {
        let list = [
            OriginPattern::Exact("https://play.example.com".into()),
            OriginPattern::Subdomains { scheme: "https".into(), suffix: ".example.org".into(), port: None },
        ];
        let listed = |origin| admits(Some(&list), Some(origin), Some("game.example.com"), false);
        assert!(listed("https://play.example.com"));
        assert!(listed("https://a.example.org"));
        assert!(!listed("https://example.org"));
        assert!(!listed("https://game.example.com"));
        assert!(!admits(Some(&[]), Some("https://play.example.com"), None, true));
    }

    #[test]
    fn a9_null_is_admitted_by_the_wildcard_only() {
        assert!(!unset("null", "null", true));
        assert!(admits(Some(&[OriginPattern::Any]), Some("null"), None, false));
        assert!(admits(Some(&[OriginPattern::Any]), Some("https://anywhere.example"), None, false));
    }

    #[test]
    fn a9_garbage_and_several_origins_are_refused_even_by_the_wildcard() {
        for origin in [
            "",
            "game.example.com",
            "://game.example.com",
            "http://",
            "https://game.example.com/",
            "https://user@game.example.com",
            "https://game.example.com https://evil.example",
            "https://game.example.com, https://evil.example",
            "https://game.example.com\\evil",
            "https://gäme.example.com",
        ] {
            assert!(!unset(origin, "game.example.com", true), "{origin}");
            assert!(!admits(Some(&[OriginPattern::Any]), Some(origin), None, true), "{origin}");
        }
        for (origin, host) in
            [("http://a:+80", "a"), ("http://a:", "a:x"), ("http://a:99999", "a:99999"), ("http://[a]", "[a]")]
        {
            assert!(!unset(origin, host, false), "{origin}");
        }
    }
}
