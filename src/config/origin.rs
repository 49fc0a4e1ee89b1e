//! Owns one entry of `ALLOWED_ORIGINS` and whether an `Origin` header matches it (A9).

use std::net::Ipv6Addr;

/// An entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// `scheme://host[:port]` as a browser writes it: lower case, without the scheme's default
    /// port.
    Exact(String),
    /// `scheme://*.example.com[:port]`: every host that ends in `suffix` (".example.com"), at any
    /// depth, but not the host without the dot. `port` is `None` for the scheme's default port.
    Subdomains { scheme: String, suffix: String, port: Option<u16> },
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
        // A lone last slash is what one copies from an address bar.
        let Origin { scheme, host, port } = Origin::parse(entry.strip_suffix('/').unwrap_or(entry))?;
        if scheme == "ws" || scheme == "wss" {
            return Err("is not what a browser sends as Origin; write http or https".to_owned());
        }
        if host.contains('*') {
            let domain = host.strip_prefix("*.").filter(|domain| is_domain(domain));
            let domain = domain.ok_or("has a * that is not the whole first label of a domain")?;
            return Ok(Self::Subdomains { scheme, suffix: format!(".{domain}"), port });
        }
        let origin = Origin { scheme, host, port };
        if !origin.has_plain_host() {
            return Err("has a host with characters a browser would not send (write it in punycode)".to_owned());
        }
        Ok(Self::Exact(origin.to_string()))
    }

    /// Whether an `Origin` header's text is admitted. Any text is safe to pass; one that is no
    /// origin matches only `Any`.
    pub fn matches(&self, origin: &str) -> bool {
        if *self == Self::Any {
            return true;
        }
        let Ok(origin) = Origin::parse(origin) else { return false };
        if !origin.has_plain_host() {
            return false;
        }
        match self {
            Self::Any => true,
            Self::Exact(exact) => *exact == origin.to_string(),
            Self::Subdomains { scheme, suffix, port } => {
                origin.scheme == *scheme
                    && origin.port == *port
                    && origin.host.len() > suffix.len()
                    && origin.host.ends_with(suffix)
            }
        }
    }
}

/// RFC 6454: scheme, host, port; in lower case, the default port taken off.
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The host may still hold anything but `/`, `@`, `?`, `#` and white space.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase())
            || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return Err("has a malformed scheme".to_owned());
        }
        if rest.contains(|c: char| "/?#@\\".contains(c) || c.is_whitespace() || c.is_control()) {
            return Err("has more than scheme, host and port".to_owned());
        }
        // The colons of an IPv6 address are inside brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        if host.is_empty() {
            return Err("has no host".to_owned());
        }
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse::<u16>().map_err(|_| "has a malformed port")?)
            }
            Some(_) => return Err("has a malformed port".to_owned()),
        };
        let default_port = match scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => format!("[{}]", inner.parse::<Ipv6Addr>().map_err(|_| "has a malformed IPv6 address")?),
            None => host.to_owned(),
        };
        Ok(Self { scheme: scheme.to_owned(), host, port: port.filter(|_| port != default_port) })
    }

    fn has_plain_host(&self) -> bool {
        self.host.starts_with('[') || is_domain(&self.host)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Labels of letters, digits, `-` and `_` between single dots. Also true of IPv4 addresses.
fn is_domain(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(entry: &str, origin: &str) -> bool {
        OriginPattern::parse(entry).unwrap().matches(origin)
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
