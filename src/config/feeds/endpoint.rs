//! Owns the reading of a description's URL and headers; no problem shows their values.

use std::{net::IpAddr, time::Duration};

use actix_web::http::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use url::Host;

use super::{
    EndpointConfig,
    expand::{TextContext, expand},
    fields::{At, DescriptionScope, FieldReader, scalar},
    keys,
};
use crate::config::{Secret, is_this_machine, table::Setting};

/// The handshake sets these itself.
const OWN_HEADERS: &[&str] = &[
    "host",
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
];

/// Returns `None` if there is a problem, a variable is missing, or there is no URL. The caller
/// reports the last.
pub(super) fn endpoint(
    fields: &mut FieldReader,
    max_message: &Setting,
    max_sent_bytes: usize,
    scope: &mut DescriptionScope<'_>,
) -> Option<EndpointConfig> {
    let headers = headers(fields, scope);
    let connect_timeout: Duration = fields.get(&keys::CONNECT_TIMEOUT_MS, scope);
    let max_message_bytes = fields.get(max_message, scope);
    let allow_insecure = fields.get(&keys::ALLOW_INSECURE, scope);
    let (url, host) = url(fields, allow_insecure, scope)?;
    Some(EndpointConfig { url, host, headers, connect_timeout, allow_insecure, max_message_bytes, max_sent_bytes })
}

fn url(fields: &mut FieldReader, allow_insecure: bool, scope: &mut DescriptionScope<'_>) -> Option<(Secret, String)> {
    let (at, node) = fields.take(&keys::URL)?;
    let template = scalar(&at, &keys::URL, node, scope)?;
    let url = scope.expand(&at, template.trim(), TextContext::Url)?;
    match host_of(&url, allow_insecure) {
        Ok(host) => Some((Secret::new(url), host)),
        Err(wrong) => {
            let used =
                expand(&template, TextContext::Url, scope.source).map(|expanded| expanded.used).unwrap_or_default();
            let with = if used.is_empty() { String::new() } else { format!("(with {}) ", used.join(", ")) };
            scope.report(&at, &format!("{with}{wrong}; allowed: {}", keys::URL.kind));
            None
        }
    }
}

/// Host and port of a URL that may be connected to. The error leaves the URL out.
///
/// `Uri` reads the URL, because the handshake is made from one.
fn host_of(url: &str, allow_insecure: bool) -> Result<String, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
    let is_encrypted = match uri.scheme_str().ok_or("is not a URL")?.to_ascii_lowercase().as_str() {
        "wss" => true,
        "ws" => false,
        _ => return Err("has another scheme"),
    };
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has credentials before its host; put them into a header");
    }
    // `Uri` drops it without an error.
    if url.contains('#') {
        return Err("has a `#`, which is of no meaning here");
    }
    if authority.host().is_empty() {
        return Err("has no host");
    }
    // `Uri` takes `host:` and `host:port` with a port of any size for one without a port.
    if uri.port_u16() == Some(0) || (uri.port_u16().is_none() && authority.as_str() != authority.host()) {
        return Err("has a port that is none");
    }
    let host = Host::parse(authority.host()).map_err(|_| "is not a URL")?;
    if !is_encrypted && !is_this_machine(&host) {
        let address = match host {
            // A host name's address is checked when it is resolved.
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        if !allow_insecure {
            return Err("is unencrypted to another machine (allow_insecure: true allows it in a private network)");
        }
        if address.is_some_and(|address| !is_private(address)) {
            return Err("is unencrypted to an address that is not of a private network");
        }
    }
    Ok(authority.as_str().to_ascii_lowercase())
}

/// Returns true if the internet does not route to the address: RFC 1918, link-local (RFC 3927, RFC
/// 4291), shared (RFC 6598), unique local (RFC 4193), and those for documentation (RFC 5737, RFC
/// 3849), which some private networks use.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_link_local() || is_shared || address.is_documentation()
        }
        IpAddr::V6(address) => {
            let is_documentation = address.segments()[..2] == [0x2001, 0xdb8];
            address.is_unique_local() || address.is_unicast_link_local() || is_documentation
        }
    }
}

fn headers(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Vec<(String, Secret)> {
    let pairs = fields.pairs(&keys::HEADERS, scope);
    let mut headers: Vec<(String, Secret)> = Vec::with_capacity(pairs.len());
    for (at, name, value) in pairs {
        match header(&name, &value) {
            Ok((name, _)) if headers.iter().any(|(known, _)| *known == name) => scope.report(&at, "has a header twice"),
            Ok(header) => headers.push(header),
            Err(wrong) => report_header(&at, wrong, scope),
        }
    }
    headers
}

fn report_header(at: &At, wrong: &str, scope: &mut DescriptionScope<'_>) {
    scope.report(at, &format!("has a header {wrong}"));
}

/// Name in lower case and value.
fn header(name: &str, value: &str) -> Result<(String, Secret), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "whose name is not one")?;
    if OWN_HEADERS.contains(&name.as_str()) {
        return Err("that the handshake sets itself");
    }
    if value.trim().is_empty() {
        return Err("without a value");
    }
    HeaderValue::from_str(value.trim()).map_err(|_| "whose value has characters that no header may have")?;
    Ok((name.as_str().to_owned(), Secret::new(value.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wss_goes_anywhere_and_ws_to_this_machine_only() {
        for (url, host) in [
            ("wss://socket.example/options", "socket.example"),
            ("WSS://Socket.Example:9443?x=1", "socket.example:9443"),
            ("wss://[2001:db8::1]:1/", "[2001:db8::1]:1"),
            ("ws://localhost:1/x", "localhost:1"),
            ("ws://127.3.2.1", "127.3.2.1"),
            ("ws://[::1]:65535/a?b", "[::1]:65535"),
        ] {
            assert_eq!(host_of(url, false), Ok(host.to_owned()), "{url}");
        }
        for (url, wrong) in [
            ("socket.example", "is not a URL"),
            ("https://socket.example", "has another scheme"),
            ("wss://", "is not a URL"),
            ("wss:///x", "is not a URL"),
            ("wss://:1/x", "has no host"),
            ("wss://user:key@host/x", "has credentials"),
            ("wss://host/x#y", "has a `#`"),
            ("wss://host:/x", "has a port that is none"),
            ("wss://host:0/x", "has a port that is none"),
            ("wss://host:99999/x", "has a port that is none"),
            ("wss://a b/x", "is not a URL"),
            ("wss://host/a b", "is not a URL"),
            ("ws://socket.example", "is unencrypted"),
            ("ws://localhost.example", "is unencrypted"),
            ("ws://127.0.0.1.example", "is unencrypted"),
            ("ws://128.0.0.1", "is unencrypted"),
            ("ws://[::2]", "is unencrypted"),
            ("ws://0.0.0.0", "is unencrypted"),
        ] {
            let found = host_of(url, false).expect_err(url);
            assert!(found.starts_with(wrong), "{url}: {found}");
        }
    }

    #[test]
    fn ws_goes_to_private_networks_where_the_description_allows_it_and_nowhere_else() {
        for url in [
            "ws://feed/x",
            "ws://feed.railway.internal:8080",
            "ws://10.1.2.3",
            "ws://172.31.0.1:1",
            "ws://192.168.1.1",
            "ws://100.64.0.1",
            "ws://169.254.1.1",
            "ws://[fd12::1]:9",
            "ws://[fe80::1]",
            "ws://[::ffff:10.0.0.1]",
        ] {
            assert!(host_of(url, true).is_ok(), "{url}");
            assert!(host_of(url, false).expect_err(url).contains("allow_insecure: true"), "{url}");
        }
        for url in ["ws://8.8.8.8", "ws://172.32.0.1", "ws://100.128.0.1", "ws://[2606:4700::1]", "ws://0.0.0.0"] {
            assert!(host_of(url, true).expect_err(url).contains("not of a private network"), "{url}");
        }
    }

    #[test]
    fn headers_of_the_handshake_and_broken_ones_are_refused() {
        let (name, value) = header("Authorization", "Bearer key ").unwrap();
        assert_eq!((name.as_str(), value.expose()), ("authorization", "Bearer key"));
        for (name, value) in
            [("Host", "a"), ("sec-websocket-key", "a"), ("a b", "a"), ("", "a"), ("a", ""), ("a", "b\nc")]
        {
            assert!(header(name, value).is_err(), "{name:?}");
        }
    }
}
