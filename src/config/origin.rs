//! Owns the origin of a web page (RFC 6454) and one entry of `ALLOWED_ORIGINS` (A9).

use std::fmt;

use url::{Host, ParseError, Url};

use super::urls::is_this_machine;

/// Scheme, host and port as a browser writes them: lower case, an IPv6 address in its shortest
/// form, without the scheme's default port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: Host<String>,
    port: Option<u16>,
}

impl Origin {
    /// Parses the text of an `Origin` header or of a setting: `scheme://host[:port]`.
    ///
    /// # Errors
    /// What is wrong with the text, without repeating it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const MORE: &str = "has more than scheme, host and port";
        const HOST: &str = "has a host with characters a browser would not send (write it in punycode)";
        let text = text.to_ascii_lowercase();
        if !text.contains("://") {
            return Err("has no scheme");
        }
        let url = Url::parse(&text).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => "has a malformed scheme",
            ParseError::EmptyHost => "has no host",
            ParseError::InvalidPort => "has a malformed port",
            ParseError::InvalidIpv6Address => "has a malformed IPv6 address",
            _ => HOST,
        })?;
        let origin = Self::of(&url).ok_or("has no host")?;
        // `Url` mends what it reads, as an address bar does. An `Origin` header needs no mending,
        // so each part must be what was written.
        let authority = text.strip_prefix(&format!("{}://", origin.scheme)).ok_or(MORE)?;
        if !authority.is_ascii() {
            return Err(HOST);
        }
        if authority.contains(|c: char| "/?#@\\,\"<>".contains(c) || !c.is_ascii_graphic()) {
            return Err(MORE);
        }
        let port = match origin.host {
            // An IPv6 address has many spellings.
            Host::Ipv6(_) => authority.split_once(']').map(|(_, port)| port),
            _ => authority.strip_prefix(&origin.host.to_string()),
        };
        if port.ok_or(HOST)? == ":" { Err("has a malformed port") } else { Ok(origin) }
    }

    /// The origin of the page at `url`; `None` if the URL has no host.
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host().filter(|host| *host != Host::Domain(""))?.to_owned();
        Some(Self { scheme: url.scheme().to_owned(), host, port: url.port() })
    }

    /// Returns true if the server at `host`, the text of a `Host` header, served the page. The
    /// page's scheme gives the port of a `Host` without one: behind a proxy the server cannot tell
    /// its own scheme.
    pub fn is_served_by(&self, host: &str) -> bool {
        self.is_web() && Self::parse(&format!("{}://{host}", self.scheme)).is_ok_and(|own| own == *self)
    }

    /// Returns true if the page comes from this machine; browsers resolve `*.localhost` to it.
    pub fn is_loopback(&self) -> bool {
        let is_below_localhost = matches!(&self.host, Host::Domain(name) if name.ends_with(".localhost"));
        self.is_web() && (is_below_localhost || is_this_machine(&self.host))
    }

    fn is_web(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
    }

    fn has_plain_host(&self) -> bool {
        match &self.host {
            Host::Domain(name) => is_domain(name),
            Host::Ipv4(_) | Host::Ipv6(_) => true,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// An entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    Exact(Origin),
    /// `scheme://*.example.com[:port]`: every host that ends in `suffix` (".example.com"), at any
    /// depth, but not the host without the dot. `port` is `None` for the scheme's default port.
    Subdomains {
        scheme: String,
        suffix: String,
        port: Option<u16>,
    },
}

impl OriginPattern {
    /// Reads one entry. The error says what is wrong with it, without repeating it.
    pub fn parse(entry: &str) -> Result<Self, String> {
        if entry == "*" {
            return Ok(Self::Any);
        }
        if entry.eq_ignore_ascii_case("null") {
            return Err("is the origin of sandboxed frames and files, which anyone can take".to_owned());
        }
        // An address copied from a browser ends in a slash.
        let origin = Origin::parse(entry.strip_suffix('/').unwrap_or(entry))?;
        if origin.scheme == "ws" || origin.scheme == "wss" {
            return Err("is not what a browser sends as Origin; write http or https".to_owned());
        }
        if let Host::Domain(name) = &origin.host
            && name.contains('*')
        {
            let domain = name.strip_prefix("*.").filter(|domain| is_domain(domain));
            let domain = domain.ok_or("has a * that is not the whole first label of a domain")?;
            let suffix = format!(".{domain}");
            return Ok(Self::Subdomains { scheme: origin.scheme, suffix, port: origin.port });
        }
        if !origin.has_plain_host() {
            return Err("has a host with characters a browser would not send (write it in punycode)".to_owned());
        }
        Ok(Self::Exact(origin))
    }

    /// Returns true if the entry admits the page. `None` is a page whose origin is `null`.
    pub fn matches(&self, origin: Option<&Origin>) -> bool {
        let Some(origin) = origin.filter(|origin| origin.has_plain_host()) else { return *self == Self::Any };
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Subdomains { scheme, suffix, port } => {
                let is_below = |name: &str| name.len() > suffix.len() && name.ends_with(suffix);
                origin.scheme == *scheme
                    && origin.port == *port
                    && matches!(&origin.host, Host::Domain(name) if is_below(name))
            }
        }
    }
}

/// Labels of letters, digits, `-` and `_` between single dots.
fn is_domain(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(entry: &str, origin: &str) -> bool {
        OriginPattern::parse(entry).unwrap().matches(Origin::parse(origin).ok().as_ref())
    }

    #[test]
    fn an_origin_is_printed_as_browsers_write_it() {
        for (text, expected) in [
            ("HTTP://Example.com:80", "http://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("Capacitor://LocalHost", "capacitor://localhost"),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Ok(expected));
        }
        let page = Url::parse("https://user@a.example:443/x?y#z").unwrap();
        assert_eq!(Origin::of(&page), Origin::parse("https://a.example").ok());
    }

    #[test]
    fn a9_a_text_that_is_read_only_by_mending_it_is_no_origin() {
        for text in [
            "http:example.com",
            "http:///example.com",
            "http:\\\\example.com",
            " http://example.com",
            "http://exam\tple.com",
            "http://ex%61mple.com",
            "http://example.com:",
            "http://example.com, http://example.com",
            "http://127.1",
            "http://0x7f.0.0.1",
            "http://2130706433",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a9_an_exact_entry_admits_that_origin_alone() {
        assert!(admits("https://Example.com", "https://example.com"));
        assert!(admits("https://example.com:443", "https://EXAMPLE.com"));
        assert!(admits("https://example.com/", "https://example.com:443"));
        assert!(admits("http://localhost:3000", "http://localhost:3000"));
        assert!(admits("http://[0:0::1]:3000", "http://[::1]:3000"));
        assert!(admits("capacitor://localhost", "capacitor://localhost"));
        for origin in [
            "http://example.com",
            "https://example.com:8443",
            "https://sub.example.com",
            "https://example.com.evil.test",
            "https://evil.test/https://example.com",
            "https://example.com@evil.test",
            "https://evil.test#https://example.com",
            "https://example.com/",
            "https://example.com ",
            "example.com",
            "null",
            "",
        ] {
            assert!(!admits("https://example.com", origin), "{origin}");
        }
    }

    #[test]
    fn a9_a_wildcard_entry_admits_subdomains_only() {
        assert!(admits("https://*.example.com", "https://a.example.com"));
        assert!(admits("https://*.example.com", "https://a.b.example.com:443"));
        assert!(admits("https://*.example.com:8443", "https://a.example.com:8443"));
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://aexample.com",
            "https://a.example.com.evil.test",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://evil.test\\.example.com",
            "https://*.example.com",
            "https://evil%2f.example.com",
            "https://[::1].example.com",
        ] {
            assert!(!admits("https://*.example.com", origin), "{origin}");
        }
    }

    #[test]
    fn a9_a_star_admits_everything() {
        assert!(admits("*", "https://example.com") && admits("*", "null") && admits("*", "\0"));
    }

    #[test]
    fn entries_no_browser_sends_are_refused() {
        for entry in [
            "example.com",
            "https://",
            "https://example.com/path",
            "https://example.com?x",
            "https://user@example.com",
            "https://exa*mple.com",
            "https://*",
            "https://*.",
            "https://*example.com",
            "https://a.*.example.com",
            "https://bücher.example",
            "https://example.com:99999",
            "https://example.com:+1",
            "https://[::g]",
            "://example.com",
            "wss://example.com",
            "null",
            "",
        ] {
            assert!(OriginPattern::parse(entry).is_err(), "{entry}");
        }
    }
}
