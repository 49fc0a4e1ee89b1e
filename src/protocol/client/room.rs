//! Owns what a client asks of a room (3.1), and the events that clients, back ends and logics ask a
//! room to append.

use serde_json::value::RawValue;

use super::{Envelope, FieldReader, FrameError};
use crate::protocol::{
    PlayerId,
    json::{RawJson, string},
    recipients::{self, recipients},
};

/// The longest name of a volatile value (S8), in bytes.
pub(super) const MAX_VOLATILE_NAME_BYTES: usize = 64;

/// A player's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRequest {
    /// Appends an event: `send` or `patch`. An `id` makes a repeat harmless (S2).
    Append { id: Option<u64>, event: EventRequest },
    /// Shows a value that the room does not keep (S8).
    Volatile { name: String, data: RawJson, to: Option<Vec<PlayerId>> },
    /// Gives up the seat.
    Leave,
}

/// An event to append. `P` is the patch: as its sender wrote it, or parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventRequest<P = RawJson> {
    /// `to` is parsed by `recipients`; `None`: for everyone.
    Message { data: RawJson, to: Option<Vec<PlayerId>> },
    /// A merge patch (RFC 7396), which is an object. It conflicts if the document was changed after
    /// `if_seq`.
    Patch { patch: P, if_seq: Option<u64> },
}

impl RoomRequest {
    /// Returns `None` if `kind` is none of these.
    pub(super) fn parse(kind: &str, frame: &Envelope<'_>, reader: FieldReader<'_>) -> Result<Option<Self>, FrameError> {
        let id = reader.id;
        Ok(Some(match kind {
            "send" => {
                let data = frame.data.ok_or_else(|| reader.invalid("data is missing"))?;
                let (data, to) = message(data, frame.to, reader)?;
                match frame.volatile {
                    None => Self::Append { id, event: EventRequest::Message { data, to } },
                    Some(name) => Self::Volatile { name: volatile_name(name, reader)?, data, to },
                }
            }
            "patch" => Self::Append { id, event: EventRequest::patch(frame.patch, frame.if_seq, reader)? },
            "leave" => Self::Leave,
            _ => return Ok(None),
        }))
    }

    /// Returns the `id` that errors about this request echo.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Append { id, .. } => *id,
            Self::Volatile { .. } | Self::Leave => None,
        }
    }
}

impl EventRequest {
    pub(in crate::protocol) fn message(
        data: &RawValue,
        to: Option<&RawValue>,
        reader: FieldReader<'_>,
    ) -> Result<Self, FrameError> {
        let (data, to) = message(data, to, reader)?;
        Ok(Self::Message { data, to })
    }

    pub(in crate::protocol) fn patch(
        patch: Option<&RawValue>,
        if_seq: Option<&RawValue>,
        reader: FieldReader<'_>,
    ) -> Result<Self, FrameError> {
        let patch = patch
            .filter(|raw| raw.get().starts_with('{'))
            .ok_or_else(|| reader.invalid("patch is an object (RFC 7396)"))?;
        let if_seq = reader.integer(if_seq, 0, "if_seq is an integer from 0 to 2^53-1")?;
        Ok(Self::Patch { patch: reader.passed_on(patch)?, if_seq })
    }
}

fn message(
    data: &RawValue,
    to: Option<&RawValue>,
    reader: FieldReader<'_>,
) -> Result<(RawJson, Option<Vec<PlayerId>>), FrameError> {
    let data = reader.passed_on(data)?;
    let to = to.map(|raw| recipients(raw).ok_or_else(|| reader.invalid(recipients::RULE))).transpose()?;
    Ok((data, to))
}

fn volatile_name(raw: &RawValue, reader: FieldReader<'_>) -> Result<String, FrameError> {
    let name = string(raw).filter(|name| (1..=MAX_VOLATILE_NAME_BYTES).contains(&name.len()));
    name.map(|name| name.into_owned()).ok_or_else(|| reader.invalid("volatile is a name of 1 to 64 bytes"))
}
