//! Owns `Role`: what a connection may do in a room.

/// The role of a connection in a room, from a token or a query (A11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Player,
    /// A spectator (S10).
    Spectator,
}

impl Role {
    /// The name in a token's `role`, the welcome and the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Spectator => "spectator",
        }
    }
}
