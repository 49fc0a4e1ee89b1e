//! Owns the causes of a connection's end, each with its close code (section 4). A connection has
//! exactly one cause.

/// Why a connection ended. The first cause given to a connection's outbox wins; later ones are
/// ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The client sent a close frame; the code is the client's (1005 when it gave none).
    ClientClosed(u16),
    /// The socket ended or failed without a close frame.
    ConnectionLost,
    /// The client sent `leave`.
    Left,
    /// A newer connection took the seat (S7).
    Replaced,
    /// The seat is connected and this client has no right to take it over (S7).
    AlreadyConnected,
    /// No valid token within `AUTH_TIMEOUT_MS` (A7).
    AuthTimeout,
    /// The token was rejected (A7, A11).
    AuthFailed,
    /// The token's `exp` passed (A13).
    TokenExpired,
    /// The address or the server has reached its limit of connections (A5).
    ConnectionLimit,
    /// More than 10 bad frames in 10 s (P2).
    TooManyErrors,
    /// More than `MESSAGE_RATE` frames a second (S5).
    RateExceeded,
    /// A data message over `MAX_MESSAGE_BYTES` (S4).
    MessageTooBig,
    /// The client sent bytes that violate RFC 6455.
    ProtocolError,
    /// A text message or close reason that is not UTF-8 (RFC 6455 section 8.1).
    InvalidUtf8,
    /// The outbox is full (S6).
    TooSlow,
    /// No frame within `WS_PING_TIMEOUT` of a ping (B1).
    HeartbeatTimeout,
    /// The back end removed the player.
    Kicked,
    /// The back end banned the player for a time (S13).
    Banned,
    /// The back end closed the room, or no game has this name.
    NoSuchGame,
    /// No hub has this name, or the hub is off.
    NoSuchHub,
    /// No proxy has this name, or the proxy is off.
    NoSuchProxy,
    /// The proxy's upstream closed. The code is the upstream's, or the one it is mapped to (X4).
    UpstreamClosed(u16),
    /// The proxy's upstream cannot be reached, or sends what cannot be relayed.
    UpstreamFailed,
    /// The proxy's upstream rejects the server's credentials, or does not exist.
    UpstreamRefused,
    /// The proxy's upstream accepts no more connections for now.
    UpstreamBusy,
    /// The session has used up its budget (X3).
    BudgetExceeded,
    /// The server restarts (D4).
    Draining,
    /// The server cannot take the work now; the client did nothing wrong.
    Overloaded,
    /// The store is failing (D5).
    Unavailable,
    /// The room ended abnormally; a new room replaces it.
    RoomFailed,
}

impl Cause {
    /// Every cause once. The metrics use it to show zeroes.
    pub(crate) const ALL: [Self; 30] = [
        Self::ClientClosed(1005),
        Self::ConnectionLost,
        Self::Left,
        Self::Replaced,
        Self::AlreadyConnected,
        Self::AuthTimeout,
        Self::AuthFailed,
        Self::TokenExpired,
        Self::ConnectionLimit,
        Self::TooManyErrors,
        Self::RateExceeded,
        Self::MessageTooBig,
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::TooSlow,
        Self::HeartbeatTimeout,
        Self::Kicked,
        Self::Banned,
        Self::NoSuchGame,
        Self::NoSuchHub,
        Self::NoSuchProxy,
        Self::UpstreamClosed(1011),
        Self::UpstreamFailed,
        Self::UpstreamRefused,
        Self::UpstreamBusy,
        Self::BudgetExceeded,
        Self::Draining,
        Self::Overloaded,
        Self::Unavailable,
        Self::RoomFailed,
    ];

    /// The close code (section 4). 1005 and 1006 are never sent, only recorded (RFC 6455 section
    /// 7.4.1).
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::ClientClosed(code) | Self::UpstreamClosed(code) => code,
            Self::ConnectionLost => 1006,
            Self::Left => 1000,
            Self::ProtocolError => 1002,
            Self::InvalidUtf8 => 1007,
            Self::ConnectionLimit | Self::TooManyErrors | Self::BudgetExceeded => 1008,
            Self::MessageTooBig => 1009,
            Self::RoomFailed | Self::UpstreamFailed => 1011,
            Self::Draining => 1012,
            Self::Overloaded | Self::Unavailable | Self::UpstreamBusy => 1013,
            Self::Replaced => 4000,
            Self::AuthTimeout => 4001,
            Self::AlreadyConnected => 4002,
            Self::AuthFailed => 4003,
            Self::NoSuchGame | Self::NoSuchHub | Self::NoSuchProxy | Self::UpstreamRefused => 4004,
            Self::TokenExpired => 4005,
            Self::TooSlow => 4008,
            Self::HeartbeatTimeout => 4009,
            Self::Kicked | Self::Banned => 4010,
            Self::RateExceeded => 4029,
        }
    }

    /// The stable name: the log's `cause`, the metric's label, the close frame's reason (under 124
    /// bytes).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClientClosed(_) => "client_closed",
            Self::ConnectionLost => "connection_lost",
            Self::Left => "left",
            Self::Replaced => "replaced",
            Self::AlreadyConnected => "already_connected",
            Self::AuthTimeout => "auth_timeout",
            Self::AuthFailed => "auth_failed",
            Self::TokenExpired => "token_expired",
            Self::ConnectionLimit => "connection_limit",
            Self::TooManyErrors => "too_many_errors",
            Self::RateExceeded => "rate_exceeded",
            Self::MessageTooBig => "message_too_big",
            Self::ProtocolError => "protocol_error",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooSlow => "too_slow",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::NoSuchGame => "no_such_game",
            Self::NoSuchHub => "no_such_hub",
            Self::NoSuchProxy => "no_such_proxy",
            Self::UpstreamClosed(_) => "upstream_closed",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamBusy => "upstream_busy",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::RoomFailed => "room_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_close_frame() {
        let names: std::collections::HashSet<_> = Cause::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        assert!(names.iter().all(|n| n.len() <= 123));
    }
}
