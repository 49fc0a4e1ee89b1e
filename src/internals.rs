//! Owns what the binary and the tests of this repository use of the engine. It is no part of the
//! API: any release may change it.

pub use crate::{
    call::{Call, CallError, call},
    inspect::{InspectError, Inspection, inspect},
    load::{LoadFailure, LoadOptions, load},
    store::EmbeddedStore,
    token::{MintedClaims, mint, parse_ttl},
};

/// The frames of the wire, for the fixtures that the client library shares.
pub mod protocol {
    pub use crate::protocol::{
        ClientFrame, Dialect, DisplayName, EventRequest, GameId, HubRequest, PlayerId, RawJson, ResumeReason,
        RoomRequest, ServerFrame, SessionRequest, Topic, Verdict, server,
    };
}
