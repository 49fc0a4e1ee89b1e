//! Owns the settings of the listeners and of the public address that `/api/client-config` returns.

use std::net::{IpAddr, Ipv4Addr};

use url::{ParseError, SyntaxViolation};

use super::{
    Overrides,
    reader::SettingReader,
    table,
    urls::{self, UrlFault},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    /// `None`: `[::]`, dual stack.
    pub host: Option<IpAddr>,
    pub ports: Ports,
}

/// Port 0 is any free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// One listener for everything.
    Shared(u16),
    /// Two listeners. The ports differ, or both are 0: two free ports are never the same one.
    Split { ws: u16, http: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicConfig {
    /// `ws://` or `wss://`, host, perhaps a port and a path, without a last slash.
    pub websocket_url: Option<String>,
}

pub(super) fn listen(reader: &mut SettingReader<'_>, overrides: &Overrides) -> ListenConfig {
    let mut host = reader.parsed(&table::HOST, parse_host);
    if let Some(text) = overrides.host.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        match parse_host(text) {
            Ok(address) => host = Some(address),
            Err(wrong) => reader
                .problems()
                .add("--host", format!("{} {wrong}; allowed: {}", super::problem::shown(text), table::HOST.kind)),
        }
    }

    let shared = reader.get(&table::PORT);
    let mut port_of = |setting| {
        let port = reader.get(setting);
        if reader.is_set(setting) && !reader.is_bad(setting) { port } else { shared }
    };
    let (ws, http) = (port_of(&table::WS_PORT), port_of(&table::HTTP_PORT));
    let any_set = reader.is_set(&table::WS_PORT) || reader.is_set(&table::HTTP_PORT);
    let ports = match overrides.port {
        Some(port) => Ports::Shared(port),
        None if any_set && (ws != http || ws == 0) => Ports::Split { ws, http },
        None => Ports::Shared(ws),
    };
    ListenConfig { host, ports }
}

fn parse_host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "is not an address".to_owned())
}

pub(super) fn public(reader: &mut SettingReader<'_>) -> PublicConfig {
    // All are read, so that the problems of each are reported; the first that is set wins.
    let urls = [
        &table::PUBLIC_URL,
        &table::WEBSOCKET_PUBLIC_DOMAIN,
        &table::RAILWAY_PUBLIC_DOMAIN,
        &table::RAILWAY_STATIC_URL,
    ]
    .map(|setting| reader.parsed(setting, parse_public));
    PublicConfig { websocket_url: urls.into_iter().flatten().next() }
}

fn parse_public(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { urls::parse(text) } else { urls::parse(&format!("wss://{text}")) };
    let mut url = url.map_err(|fault| match fault {
        UrlFault::Malformed(ParseError::RelativeUrlWithoutBase) => "has another scheme",
        UrlFault::Malformed(ParseError::EmptyHost) | UrlFault::Mended(SyntaxViolation::ExpectedDoubleSlash) => {
            "has no host"
        }
        UrlFault::Malformed(ParseError::InvalidPort) => "has a malformed port",
        _ => "has more than scheme, host, port and path",
    })?;
    let scheme = match url.scheme() {
        "https" | "wss" => "wss",
        "http" | "ws" => "ws",
        _ => return Err("has another scheme".to_owned()),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has more than scheme, host, port and path".to_owned());
    }
    url.set_scheme(scheme).map_err(|()| "has another scheme")?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
