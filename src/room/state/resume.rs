//! Owns the verdict on a client that resumes (R3): what its session proves, what it has missed, and
//! what of that the history still has.

use crate::{
    protocol::{ResumeReason, Verdict},
    room::history::{History, MissedEvents},
};

/// What a client may resume from, judged by its session alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    New {
        reason: Option<ResumeReason>,
    },
    /// The session is of this epoch, and the client has seen every event up to `seen`.
    Own {
        seen: u64,
    },
    /// The session belongs to another epoch.
    Reset {
        reason: ResumeReason,
    },
}

/// A verdict with its particulars.
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub reason: Option<ResumeReason>,
    /// With `snapshot`: the first and the last lost `seq`.
    pub lost: Option<(u64, u64)>,
    /// Send the kept events after this `seq`. They follow even if older ones are lost: `lost` names
    /// exactly the events that do not follow.
    pub after: Option<u64>,
}

impl Resume {
    pub(super) fn is_own(self) -> bool {
        matches!(self, Self::Own { .. })
    }

    pub(super) fn judge(self, history: &History) -> Judgement {
        let (verdict, reason, lost) = match self {
            Self::New { reason } => (Verdict::New, reason, None),
            Self::Reset { reason } => (Verdict::Reset, Some(reason), None),
            Self::Own { seen } => match history.missed(seen) {
                MissedEvents::All => (Verdict::Continuous, None, None),
                MissedEvents::Lost(from, to) => {
                    (Verdict::Snapshot, Some(ResumeReason::HistoryTooShort), Some((from, to)))
                }
                MissedEvents::Ahead => (Verdict::Reset, Some(ResumeReason::SeqAhead), None),
            },
        };
        let after = match self {
            Self::Own { seen } if verdict != Verdict::Reset => Some(seen),
            _ => None,
        };
        Judgement { verdict, reason, lost, after }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use crate::{
        clock::Now,
        config::Config,
        protocol::{EventRequest, GameId, PlayerId, RawJson, ResumeReason, Role, Verdict},
        room::{
            effect::{Draft, Effect, Effects},
            messages::{JoinRequest, Membership},
            relay::Relay,
            state::RoomState,
        },
    };

    fn bob() -> PlayerId {
        PlayerId::parse("bob").expect("an id")
    }

    fn join(state: &mut RoomState, connection: u64, session: Option<String>, seen: Option<u64>, now: Now) -> Draft {
        let mut effects = Effects::at(now, 0);
        let join = JoinRequest {
            connection,
            player: bob(),
            role: Role::Player,
            session,
            seen,
            authenticated: false,
            address: Ipv4Addr::LOCALHOST.into(),
            must_replace: false,
            name: None,
            wants_names: false,
        };
        state.join(join, &mut effects).expect("the seat is free");
        let drafts = effects.into_list().into_iter().filter_map(|effect| match effect {
            Effect::Enter { draft, .. } => Some(*draft),
            _ => None,
        });
        drafts.last().expect("a welcome")
    }

    #[test]
    fn r3_a_decided_verdict_keeps_its_events_whatever_the_history_loses_before_the_welcome() {
        let now = Now::read();
        let game = GameId::parse("g").expect("an id");
        let mut state = RoomState::new(game, "e".into(), Box::new(Relay), Arc::new(Config::default()), 1, now);
        let first = join(&mut state, 1, None, None, now);
        assert_eq!((first.verdict, first.seq, first.missed.len()), (Verdict::New, 1, 0));
        state.detach(1, &Membership::Player(bob()), &mut Effects::at(now, 0));
        for text in ["1", "2", "3"] {
            let data = RawJson::parse(text).expect("JSON");
            let message = EventRequest::Message { data, to: None };
            state.append(message, None, &mut Effects::at(now, 0)).expect("a message");
        }
        let second = join(&mut state, 2, Some(first.session), Some(3), now);
        state.cut_history(usize::MAX);
        assert_eq!((second.verdict, second.lost, second.state.is_none()), (Verdict::Continuous, None, true));
        let seqs = second.missed.iter().map(|text| {
            let event: serde_json::Value = serde_json::from_slice(text.json()).expect("JSON");
            event["seq"].as_u64().expect("a seq")
        });
        assert_eq!(seqs.collect::<Vec<_>>(), [4, 5, 6], "two messages and its own return");
        let third = join(&mut state, 3, Some(second.session), Some(3), now);
        assert_eq!((third.verdict, third.reason), (Verdict::Snapshot, Some(ResumeReason::HistoryTooShort)));
        assert_eq!((third.lost, third.missed.len(), third.state.is_some()), (Some((4, 6)), 0, true));
    }
}
