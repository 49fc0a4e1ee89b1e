//! Owns where the load goes: the server's address, and the path of each player.

use tokio_tungstenite::tungstenite::http::Uri;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadTarget {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    pub is_secure: bool,
    /// The value of the header `Host`.
    pub authority: String,
    /// The path in front of `/ws/…`, without a slash at its end.
    pub base: String,
}

impl LoadTarget {
    /// # Errors
    /// A sentence that states what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address of a server; write one such as ws://localhost:8080");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(wrong()),
        };
        if uri.query().is_some() || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err("the address of the server has a query or a user name; leave it out".to_owned());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        // The library takes a port that is none for no port.
        let has_port = uri.authority().is_some_and(|authority| authority.as_str() != host);
        if has_port && uri.port_u16().is_none() {
            return Err(wrong());
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned();
        let authority = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let base = uri.path().trim_end_matches('/');
        let base = base.strip_suffix("/ws").unwrap_or(base).to_owned();
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { host: bare, port, is_secure, authority, base })
    }

    /// The server's address for HTTP.
    pub(super) fn http(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_of_websockets_or_of_http() {
        for (text, host, port, is_secure, base) in [
            ("ws://localhost:8080", "localhost", 8080, false, ""),
            ("http://127.0.0.1/", "127.0.0.1", 80, false, ""),
            ("wss://play.example/inn/", "play.example", 443, true, "/inn"),
            ("https://[::1]:9/ws", "::1", 9, true, ""),
        ] {
            let target = LoadTarget::parse(text).unwrap();
            let found = (target.host.as_str(), target.port, target.is_secure, target.base.as_str());
            assert_eq!(found, (host, port, is_secure, base), "{text}");
        }
        assert_eq!(LoadTarget::parse("wss://[::1]:9/ws").unwrap().http(), "https://[::1]:9");
        for text in ["localhost:8080", "ftp://a", "ws://", "", "ws://a:b@c", "ws://a/?x=1", "ws://a:99999"] {
            assert!(LoadTarget::parse(text).is_err(), "{text}");
        }
    }
}
