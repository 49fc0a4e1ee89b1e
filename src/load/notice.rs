//! Owns the reading of the frames that are no message of the load; they are rare, so they are
//! parsed as JSON.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, de::IgnoredAny};

use super::check::ResumeOutcome;

/// What a player needs of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Welcome {
        seq: u64,
        session: String,
        outcome: ResumeOutcome,
        last_id: u64,
    },
    /// A message in another form than the usual; its `seq`, unless it is volatile.
    Message(Option<u64>),
    /// Another event with a `seq`.
    Event(u64),
    Ack(u64),
    GoingAway(Duration),
    Error {
        code: String,
        message: String,
    },
    /// Nothing that matters here.
    Other,
    /// No object with a `type`, or a field of it is missing or wrong.
    Unknown,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct WelcomeFields {
    seq: u64,
    session: String,
    resume: String,
    last_id: u64,
    lost: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct AckFields {
    id: u64,
}

#[derive(Deserialize)]
struct GoingAwayFields {
    reconnect_after_ms: u64,
}

#[derive(Deserialize)]
struct ErrorFields {
    code: String,
    message: String,
}

impl Notice {
    pub(super) fn read(text: &[u8]) -> Self {
        Self::parse(text).unwrap_or(Self::Unknown)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let Kind { r#type, seq } = serde_json::from_slice(text).ok()?;
        Some(match &*r#type {
            "welcome" => {
                let fields: WelcomeFields = serde_json::from_slice(text).ok()?;
                let outcome = match (fields.resume.as_str(), fields.lost) {
                    ("new", _) => ResumeOutcome::New,
                    ("continuous", _) => ResumeOutcome::Continuous,
                    ("snapshot", Some((from, to))) => ResumeOutcome::Snapshot(from, to),
                    ("reset", _) => ResumeOutcome::Reset,
                    _ => return None,
                };
                Self::Welcome { seq: fields.seq, session: fields.session, outcome, last_id: fields.last_id }
            }
            "message" => Self::Message(seq),
            "ack" => Self::Ack(serde_json::from_slice::<AckFields>(text).ok()?.id),
            "going_away" => {
                let fields: GoingAwayFields = serde_json::from_slice(text).ok()?;
                Self::GoingAway(Duration::from_millis(fields.reconnect_after_ms))
            }
            "error" => {
                let fields: ErrorFields = serde_json::from_slice(text).ok()?;
                Self::Error { code: fields.code, message: fields.message }
            }
            _ => {
                serde_json::from_slice::<IgnoredAny>(text).ok()?;
                seq.map_or(Self::Other, Self::Event)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_contract_are_read_and_others_are_unknown() {
        let welcome = r#"{"type":"welcome","resume":"snapshot","lost":[3,9],"seq":12,"session":"s","last_id":4}"#;
        let outcome = ResumeOutcome::Snapshot(3, 9);
        for (text, notice) in [
            (welcome, Notice::Welcome { seq: 12, session: "s".into(), outcome, last_id: 4 }),
            (r#"{"type":"presence","seq":5,"player":"p1","status":"joined"}"#, Notice::Event(5)),
            (r#"{"type":"presence","count":600}"#, Notice::Other),
            (r#"{"type":"ack","id":7,"seq":null}"#, Notice::Ack(7)),
            (
                r#"{"type":"going_away","code":1012,"reconnect_after_ms":250}"#,
                Notice::GoingAway(Duration::from_millis(250)),
            ),
            (r#"{"type":"message","seq":6,"from":"@server","data":1}"#, Notice::Message(Some(6))),
            (r#"{"type":"welcome","seq":12}"#, Notice::Unknown),
            (r#"{"seq":12}"#, Notice::Unknown),
            ("pong", Notice::Unknown),
        ] {
            assert_eq!(Notice::read(text.as_bytes()), notice, "{text}");
        }
    }
}
