//! Owns the verdict on a client that resumes (R3), and its reason.

use serde::Serialize;

/// What a client gets that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    New,
    Continuous,
    Snapshot,
    Reset,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Continuous => "continuous",
            Self::Snapshot => "snapshot",
            Self::Reset => "reset",
        }
    }
}

/// Why a verdict is worse than the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeReason {
    /// The seat or session is gone.
    SessionExpired,
    /// The session belongs to another epoch of the room.
    RoomRestarted,
    /// The client claims more than there is.
    SeqAhead,
    /// The client names no `seq`.
    NoSeq,
    /// The oldest missed events are gone.
    HistoryTooShort,
}
