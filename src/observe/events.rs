//! Owns the log lines that operators search for: security events and the heartbeat.

use std::fmt::Display;

use slog::{KV, Logger, Record};

use super::recent::SECURITY_TAG;
use crate::protocol::Cause;

/// The fields of a security event about a connection. `None` fields are not logged. Never a token
/// or a session secret (A12).
#[derive(Default, Clone, Copy)]
pub(crate) struct SecurityFields<'a> {
    pub hub: Option<&'a str>,
    pub proxy: Option<&'a str>,
    pub game: Option<&'a str>,
    pub player: Option<&'a str>,
    pub address: Option<&'a dyn Display>,
    /// Logged by its name, with its code unless `code` is set.
    pub cause: Option<Cause>,
    pub code: Option<u16>,
    pub duration_ms: Option<u64>,
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    pub role: Option<&'a str>,
    /// The verdict of R3.
    pub resume: Option<&'a str>,
    pub reason: Option<&'a str>,
}

impl KV for SecurityFields<'_> {
    // Last field first: slog's order is newest first, the line's is the other way round.
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn slog::Serializer) -> slog::Result {
        for (key, text) in [("reason", self.reason), ("resume", self.resume), ("role", self.role)] {
            text.map_or(Ok(()), |text| serializer.emit_str(key, text))?;
        }
        let counts = [("bytes_out", self.bytes_out), ("bytes_in", self.bytes_in), ("duration_ms", self.duration_ms)];
        for (key, count) in counts {
            count.map_or(Ok(()), |count| serializer.emit_u64(key, count))?;
        }
        if let Some(code) = self.code.or(self.cause.map(Cause::code)) {
            serializer.emit_u16("code", code)?;
        }
        if let Some(cause) = self.cause {
            serializer.emit_str("cause", cause.name())?;
        }
        if let Some(address) = self.address {
            serializer.emit_arguments("address", &format_args!("{address}"))?;
        }
        for (key, text) in [("player", self.player), ("game", self.game), ("proxy", self.proxy), ("hub", self.hub)] {
            text.map_or(Ok(()), |text| serializer.emit_str(key, text))?;
        }
        Ok(())
    }
}

/// Logs one security event (section 2; `WS_CONNECTION_ESTABLISHED`, `WS_CONNECTION_CLOSED`): a
/// refusal, whose name contains `_BLOCKED_`, as a warning, everything else as information.
pub(crate) fn security(logger: &Logger, event: &'static str, fields: &SecurityFields<'_>) {
    if event.contains("_BLOCKED_") || event == "API_REFUSED" {
        slog::warn!(logger, #SECURITY_TAG, "{}", event; "category" => "SECURITY", "event" => event, fields);
    } else {
        slog::info!(logger, #SECURITY_TAG, "{}", event; "category" => "SECURITY", "event" => event, fields);
    }
}

/// Logs how much the server holds: open sockets, rooms, seats, distinct client addresses.
pub(crate) fn heartbeat(logger: &Logger, connections: usize, rooms: usize, sessions: usize, addresses: usize) {
    slog::info!(
        logger, "connections={} rooms={} sessions={} addresses={}", connections, rooms, sessions, addresses;
        "category" => "HEARTBEAT", "connections" => connections, "rooms" => rooms, "sessions" => sessions,
        "addresses" => addresses
    );
}
