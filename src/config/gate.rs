//! Owns the settings of admission: what switches the service off, and which clients may connect.

use std::time::Duration;

use super::{
    auth::{AuthConfig, auth},
    origin::OriginPattern,
    reader::SettingReader,
    table,
};

/// A hosting platform, recognised by a variable that it sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `RAILWAY_ENVIRONMENT_NAME`
    Railway,
    /// `RENDER`
    Render,
    /// `FLY_APP_NAME`
    Fly,
    /// `DYNO`
    Heroku,
}

#[derive(Debug, Clone)]
pub struct GateConfig {
    /// A1: the setting that switched the service off.
    pub disabled_by: Option<&'static str>,
    /// A9: `None` if unset; never empty.
    pub allowed_origins: Option<Vec<OriginPattern>>,
    /// A5, at least 1.
    pub max_connections_per_ip: usize,
    /// A5, at least 1.
    pub max_connections: usize,
    /// Sockets that are no connection yet; at least as many as connections, since each of those
    /// begins as one.
    pub max_sockets_per_ip: usize,
    /// A3, at least 1.
    pub rate_limit_max_requests: u32,
    pub rate_limit_window: Duration,
    /// The proxy header, in lower case, that is trusted to name the client's address; `None`: the
    /// socket's address.
    pub client_ip_header: Option<String>,
    /// `CLIENT_IP_HEADER` is unset and no platform implies a proxy: a proxy that shows itself by
    /// its headers is a warning.
    pub expects_no_proxy: bool,
    /// A whole HTTP request head must arrive within this time.
    pub request_timeout: Duration,
    pub auth: AuthConfig,
}

impl Platform {
    pub(super) fn detect(reader: &SettingReader<'_>) -> Option<Self> {
        [Self::Railway, Self::Render, Self::Fly, Self::Heroku]
            .into_iter()
            .find(|platform| reader.has_variable(platform.variable()))
    }

    /// The variable that the platform sets (A10).
    pub fn variable(self) -> &'static str {
        match self {
            Self::Railway => "RAILWAY_ENVIRONMENT_NAME",
            Self::Render => "RENDER",
            Self::Fly => "FLY_APP_NAME",
            Self::Heroku => "DYNO",
        }
    }

    /// The header in which the platform's own proxy names the client, whatever the client itself
    /// has sent.
    fn client_ip_header(self) -> &'static str {
        match self {
            Self::Railway => "x-real-ip",
            Self::Render => "true-client-ip",
            Self::Fly => "fly-client-ip",
            Self::Heroku => "x-forwarded-for",
        }
    }
}

pub(super) fn gate(reader: &mut SettingReader<'_>, platform: Option<Platform>) -> GateConfig {
    let switches = [&table::ENABLE_WS_PROXY, &table::WEBSOCKET_ENABLED].map(|s| (s.name, reader.get::<bool>(s)));
    let max_connections_per_ip = reader.get(&table::MAX_CONNECTIONS_PER_IP);
    GateConfig {
        disabled_by: switches.into_iter().find(|(_, on)| !on).map(|(name, _)| name),
        allowed_origins: reader.parsed_list(&table::ALLOWED_ORIGINS, OriginPattern::parse),
        max_connections_per_ip,
        max_sockets_per_ip: max_connections_per_ip.max(reader.get(&table::MAX_SOCKETS_PER_IP)),
        max_connections: reader.get(&table::MAX_WS_CONNECTIONS),
        rate_limit_max_requests: reader.get(&table::RATE_LIMIT_MAX_REQUESTS),
        rate_limit_window: reader.get(&table::RATE_LIMIT_WINDOW_MS),
        expects_no_proxy: platform.is_none() && !reader.is_set(&table::CLIENT_IP_HEADER),
        client_ip_header: match reader.parsed(&table::CLIENT_IP_HEADER, parse_header) {
            Some(header) if header == "none" => None,
            Some(header) => Some(header),
            None => platform.map(|platform| platform.client_ip_header().to_owned()),
        },
        request_timeout: reader.get(&table::REQUEST_TIMEOUT_MS),
        auth: auth(reader, platform),
    }
}

/// A header's name is a token (RFC 9110, section 5.6.2).
fn parse_header(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not a header's name".to_owned())
    }
}
