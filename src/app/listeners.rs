//! Owns the ports of the server: binds them, and writes and logs their addresses.

use std::{io, net::TcpListener};

use slog::{Logger, debug, info, warn};

use super::operator_key::OperatorKey;
use crate::{
    config::{AuthMode, Config, Ports},
    http::{self, Duty},
    whereabouts::{self, Whereabouts},
};

pub(super) fn bind(config: &Config) -> io::Result<Vec<(Duty, TcpListener)>> {
    let host = config.listen.host;
    let stalled_timeout = config.connection.ping_interval + config.connection.ping_timeout;
    let listen = |port| http::bind(host, port, stalled_timeout);
    Ok(match config.listen.ports {
        Ports::Shared(port) => vec![(Duty::Everything, listen(port)?)],
        Ports::Split { ws, http } => vec![(Duty::WebSocketOnly, listen(ws)?), (Duty::HttpOnly, listen(http)?)],
    })
}

/// Writes the address for commands such as `innkeeper api`. The server works without the file.
pub(super) fn write_whereabouts(
    config: &Config,
    listeners: &[(Duty, TcpListener)],
    logger: &Logger,
) -> io::Result<Option<Whereabouts>> {
    let Some((_, listener)) = listeners.iter().find(|(duty, _)| *duty != Duty::WebSocketOnly) else { return Ok(None) };
    match Whereabouts::write(&config.store.data_dir, &whereabouts::url(listener.local_addr()?)) {
        Ok(whereabouts) => Ok(Some(whereabouts)),
        Err(error) => {
            debug!(logger, "cannot write into DATA_DIR where the server is"; "error" => %error);
            Ok(None)
        }
    }
}

/// Logs the addresses, and a warning if clients are not authenticated (A10).
pub(super) fn announce(
    config: &Config,
    listeners: &[(Duty, TcpListener)],
    operator_key: Option<&OperatorKey>,
    logger: &Logger,
) -> io::Result<()> {
    for (duty, listener) in listeners {
        let address = listener.local_addr()?;
        let host = if address.ip().is_unspecified() { "localhost".into() } else { address.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let (scheme, path) = if *duty == Duty::WebSocketOnly { ("ws", "ws/test-game/alice") } else { ("http", "") };
        let url = format!("{scheme}://{host}:{}/{path}", address.port());
        info!(logger, "listening"; "url" => url, "port" => address.port(), "shards" => config.shards);
        if let Some(key) = operator_key.filter(|_| *duty != Duty::WebSocketOnly) {
            key.announce(if address.ip().is_loopback() { "localhost" } else { &host }, address.port(), logger);
        }
    }
    match &config.gate.auth.mode {
        AuthMode::Open => {
            warn!(
                logger,
                "DEVELOPMENT MODE: anyone may play as anyone; set JWT_SECRET or JWT_JWKS_URL to require tokens"
            )
        }
        AuthMode::Jwt(_) => {}
    }
    Ok(())
}
