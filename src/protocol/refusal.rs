//! Owns the refusals of admission (section 2): one value per row of the table, with its status,
//! code, log event and message.

use std::time::Duration;

use super::Cause;

/// Why an upgrade is refused. `answer` returns whether the client gets an HTTP status or a close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A1. The value names the setting that switched the service off.
    Disabled(&'static str),
    /// A2.
    InvalidOrigin,
    /// A2, from an address with more of these than A3 allows. `retry_after`: how long the client
    /// must wait.
    InvalidOrigins { retry_after: Duration },
    /// A3. `retry_after`: how long the client must wait.
    RateLimit { retry_after: Duration },
    /// A4: the path or an id in it breaks P1.
    BadPath,
    /// A4: a plain request to a path that needs an upgrade.
    UpgradeRequired,
    /// A4: an upgrade that breaks RFC 6455 section 4.2.1; the value says how.
    BadHandshake(&'static str),
    /// A5: the address already holds `MAX_CONNECTIONS_PER_IP` connections.
    AddressLimit {
        max: usize,
        /// The forwarding header of an undeclared proxy that seems to be in between.
        proxy: Option<&'static str>,
    },
    /// A5: the server already holds `MAX_WS_CONNECTIONS` connections.
    ServerLimit(usize),
    /// A6.
    Draining { retry_after: Duration },
}

/// How a refusal reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalForm {
    /// The response to the upgrade has this HTTP status.
    Status(u16),
    /// The upgrade is accepted, an `error` frame is sent and the connection closes, because
    /// browsers cannot see a status (A8).
    Close(Cause),
}

impl Refusal {
    pub(crate) fn answer(&self) -> RefusalForm {
        match self {
            Self::Disabled(_) | Self::Draining { .. } => RefusalForm::Status(503),
            Self::InvalidOrigin | Self::InvalidOrigins { .. } => RefusalForm::Status(403),
            Self::RateLimit { .. } => RefusalForm::Status(429),
            Self::BadPath | Self::BadHandshake(_) => RefusalForm::Status(400),
            Self::UpgradeRequired => RefusalForm::Status(426),
            Self::AddressLimit { .. } | Self::ServerLimit(_) => RefusalForm::Close(Cause::ConnectionLimit),
        }
    }

    /// Notes the forwarding header of an undeclared proxy if it may explain the refusal.
    pub(crate) fn name_proxy(&mut self, header: Option<&'static str>) {
        if let Self::AddressLimit { proxy, .. } = self {
            *proxy = header;
        }
    }

    /// Seconds for `Retry-After`, rounded up, at least 1.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::RateLimit { retry_after } | Self::InvalidOrigins { retry_after } | Self::Draining { retry_after } => {
                Some(retry_after.as_millis().div_ceil(1000).max(1) as u64)
            }
            _ => None,
        }
    }

    /// The stable `error.code` of A8, also the label of the refusals metric.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Disabled(_) => "disabled",
            Self::InvalidOrigin | Self::InvalidOrigins { .. } => "invalid_origin",
            Self::RateLimit { .. } => "rate_limit",
            Self::BadPath => "bad_path",
            Self::UpgradeRequired => "upgrade_required",
            Self::BadHandshake(_) => "bad_handshake",
            Self::AddressLimit { .. } | Self::ServerLimit(_) => "connection_limit",
            Self::Draining { .. } => "draining",
        }
    }

    /// The security log's event; A4 has none (section 2).
    pub(crate) fn log_event(&self) -> Option<&'static str> {
        match self {
            Self::Disabled(_) => Some("WS_CONNECTION_BLOCKED_DISABLED"),
            Self::InvalidOrigin | Self::InvalidOrigins { .. } => Some("WS_CONNECTION_BLOCKED_INVALID_ORIGIN"),
            Self::RateLimit { .. } => Some("WS_CONNECTION_BLOCKED_RATE_LIMIT"),
            Self::AddressLimit { .. } | Self::ServerLimit(_) => Some("WS_CONNECTION_BLOCKED_CONNECTION_LIMIT"),
            Self::Draining { .. } => Some("WS_CONNECTION_BLOCKED_DRAINING"),
            Self::BadPath | Self::UpgradeRequired | Self::BadHandshake(_) => None,
        }
    }

    /// Which limit or setting refused, and what to do about it (A8). Readable text.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Disabled(setting) => format!("WebSocket service is switched off ({setting}=false on the server)"),
            Self::InvalidOrigin | Self::InvalidOrigins { .. } => {
                "this Origin is not on the server's ALLOWED_ORIGINS".into()
            }
            Self::RateLimit { .. } => format!(
                "too many connection attempts from this address (RATE_LIMIT_MAX_REQUESTS in RATE_LIMIT_WINDOW_MS); retry in {} s",
                self.retry_after_secs().unwrap_or(1)
            ),
            Self::BadPath => {
                format!("connect to /ws/{{game}}/{{player}}, /ws/{{hub}} or /proxy/{{name}}; {}", super::ids::InvalidId)
            }
            Self::UpgradeRequired => "this path speaks WebSocket: send an upgrade request (RFC 6455)".into(),
            Self::BadHandshake(why) => format!("not a WebSocket handshake (RFC 6455 section 4.2.1): {why}"),
            Self::AddressLimit { max, proxy } => {
                let limit = format!("this address already holds {max} connections (MAX_CONNECTIONS_PER_IP)");
                match proxy {
                    None => format!("{limit}; close one and retry"),
                    Some(header) => format!(
                        "{limit}; a proxy is in front of the server ({header}) and CLIENT_IP_HEADER is unset, so that all \
                         its clients count as one address: set CLIENT_IP_HEADER on the server"
                    ),
                }
            }
            Self::ServerLimit(max) => format!("the server holds {max} connections (MAX_WS_CONNECTIONS); retry later"),
            Self::Draining { .. } => "the server is restarting; retry shortly".into(),
        }
    }
}
