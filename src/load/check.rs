//! Owns what one member has seen of its room, and the faults in it: messages that are missing, came
//! twice or in another order, and verdicts that were not true.

use super::message::LoadMessage;

/// Marks a sender whose next number the member cannot know, because the server said that its
/// history does not reach back.
const UNKNOWN: u32 = 1 << 31;
/// The greatest number of a message.
pub(super) const MAX_NUMBER: u32 = UNKNOWN - 1;
/// Gaps that a late message may still fill. More of them are counted as lost at once.
const MAX_HOLES: usize = 256;

/// What is wrong with a frame. Numbers are of messages unless they are called `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// So many messages before this one are missing, so far.
    Missing(u32),
    /// As `Missing`, but the server's verdict said so.
    Declared(u32),
    /// The message came before.
    Duplicate,
    /// The message came after a later one of the same sender; it was `Missing`.
    Late,
    /// Expected the first `seq` and got the second, a later one: other events are missing.
    Gap(u64, u64),
    /// Expected the first `seq` and got the second, one that came before.
    Order(u64, u64),
    /// The verdict was not true.
    Verdict(&'static str),
}

/// The verdict of a welcome, and what it needs to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResumeOutcome {
    New,
    Continuous,
    /// The first and the last lost `seq`.
    Snapshot(u64, u64),
    Reset,
}

struct Hole {
    sender: u32,
    from: u32,
    to: u32,
}

pub(super) struct MemberCheck {
    /// The newest `seq`; 0 before the first welcome.
    seq: u64,
    /// The newest number of each sender.
    numbers: Box<[u32]>,
    holes: Vec<Hole>,
    /// No event has come since a welcome with `continuous`.
    is_fresh: bool,
}

impl MemberCheck {
    pub(super) fn new(senders: usize) -> Self {
        Self { seq: 0, numbers: vec![0; senders].into(), holes: Vec::new(), is_fresh: false }
    }

    /// What a resume gives as the last `seq` seen.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes a welcome; `seq` is its `seq`, `is_resume` tells whether it was asked for one.
    pub(super) fn welcome(&mut self, outcome: ResumeOutcome, seq: u64, is_resume: bool, mut fault: impl FnMut(Fault)) {
        self.is_fresh = false;
        match outcome {
            ResumeOutcome::Continuous if is_resume => {
                if seq < self.seq {
                    fault(Fault::Verdict("continuous, although the server has not what the member saw"));
                    self.seq = seq;
                }
                self.is_fresh = true;
                return;
            }
            ResumeOutcome::Snapshot(from, to) if is_resume => {
                if from != self.seq + 1 || to < from {
                    fault(Fault::Verdict("snapshot, whose `lost` does not begin behind what the member saw"));
                }
                self.seq = to;
            }
            ResumeOutcome::Continuous | ResumeOutcome::Snapshot(..) => {
                fault(Fault::Verdict("a verdict of a resume, although nobody asked for one"));
                self.seq = seq;
            }
            ResumeOutcome::New | ResumeOutcome::Reset => self.seq = seq,
        }
        if is_resume {
            self.numbers.iter_mut().for_each(|number| *number |= UNKNOWN);
        }
    }

    /// Takes an event that is no message of the load.
    pub(super) fn event(&mut self, seq: u64, mut fault: impl FnMut(Fault)) {
        if seq > self.seq + 1 {
            fault(Fault::Gap(self.seq + 1, seq));
        }
        self.advance(seq, fault);
    }

    fn advance(&mut self, seq: u64, mut fault: impl FnMut(Fault)) {
        let expected = self.seq + 1;
        if seq < expected {
            fault(Fault::Order(expected, seq));
        } else if seq > expected && self.is_fresh {
            fault(Fault::Verdict("continuous, although events are missing"));
        }
        self.is_fresh = false;
        self.seq = self.seq.max(seq);
    }

    /// Takes a message. A message that came before leaves `seq` as it is.
    pub(super) fn message(&mut self, arrival: &LoadMessage, mut fault: impl FnMut(Fault)) {
        let stamp = arrival.stamp;
        let Some(last) = self.numbers.get_mut(stamp.sender as usize) else {
            return fault(Fault::Verdict("a message of a sender that does not exist"));
        };
        let (known, is_unknown) = (*last & MAX_NUMBER, *last & UNKNOWN != 0);
        if stamp.number == known + 1 && !is_unknown {
            *last = stamp.number;
            if arrival.seq == self.seq + 1 {
                self.seq = arrival.seq;
                self.is_fresh = false;
                return;
            }
            return self.event(arrival.seq, fault);
        }
        if stamp.number > known || is_unknown {
            *last = stamp.number;
            let missing = stamp.number.saturating_sub(known + 1);
            if missing > 0 && is_unknown {
                fault(Fault::Declared(missing));
            } else if missing > 0 {
                fault(Fault::Missing(missing));
                if self.holes.len() < MAX_HOLES {
                    self.holes.push(Hole { sender: stamp.sender, from: known + 1, to: stamp.number - 1 });
                }
            }
            // The missing messages had a `seq` each.
            return if missing > 0 { self.advance(arrival.seq, fault) } else { self.event(arrival.seq, fault) };
        }
        if self.fill(stamp.sender, stamp.number) {
            fault(Fault::Late);
            return self.event(arrival.seq, fault);
        }
        fault(Fault::Duplicate);
        // A server that gives the copy a `seq` of its own goes on from there.
        self.seq = self.seq.max(arrival.seq);
    }

    /// Returns true if the number was in a gap.
    fn fill(&mut self, sender: u32, number: u32) -> bool {
        let Some(at) = self.holes.iter().position(|h| h.sender == sender && (h.from..=h.to).contains(&number)) else {
            return false;
        };
        let Hole { from, to, .. } = self.holes.swap_remove(at);
        if from < number {
            self.holes.push(Hole { sender, from, to: number - 1 });
        }
        if number < to {
            self.holes.push(Hole { sender, from: number + 1, to });
        }
        true
    }

    /// How many of the `sent` messages of a sender have not come, besides those in gaps.
    pub(super) fn behind(&self, sender: usize, sent: u32) -> u32 {
        self.numbers.get(sender).map_or(sent, |last| sent.saturating_sub(last & MAX_NUMBER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::message::Stamp;

    struct Member(MemberCheck);

    impl Member {
        fn new() -> Self {
            let mut check = MemberCheck::new(2);
            check.welcome(ResumeOutcome::New, 10, false, |fault| panic!("{fault:?}"));
            Self(check)
        }

        fn message(&mut self, seq: u64, sender: u32, number: u32) -> Vec<Fault> {
            let mut faults = Vec::new();
            self.0.message(&LoadMessage { seq, stamp: Stamp { sender, number, due: 0 } }, |fault| faults.push(fault));
            faults
        }

        fn welcome(&mut self, outcome: ResumeOutcome, seq: u64) -> Vec<Fault> {
            let mut faults = Vec::new();
            self.0.welcome(outcome, seq, true, |fault| faults.push(fault));
            faults
        }
    }

    #[test]
    fn messages_in_order_are_right_and_those_at_the_end_are_still_owed() {
        let mut member = Member::new();
        for (seq, sender, number) in [(11, 0, 1), (12, 1, 1), (13, 0, 2)] {
            assert_eq!(member.message(seq, sender, number), []);
        }
        member.0.event(14, |fault| panic!("{fault:?}"));
        assert_eq!((member.0.behind(0, 2), member.0.behind(1, 4)), (0, 3));
    }

    #[test]
    fn a_lost_message_is_missing_with_and_without_a_gap_in_seq() {
        let mut member = Member::new();
        assert_eq!(member.message(12, 0, 2), [Fault::Missing(1)]);
        assert_eq!(member.message(13, 0, 5), [Fault::Missing(2)]);
        assert_eq!(member.message(15, 0, 6), [Fault::Gap(14, 15)], "an event of another kind");
        assert_eq!(member.message(15, 0, 7), [Fault::Order(16, 15)]);
    }

    #[test]
    fn a_copy_is_a_duplicate_with_the_same_seq_and_with_a_new_one() {
        let mut member = Member::new();
        assert_eq!(member.message(11, 0, 1), []);
        assert_eq!(member.message(11, 0, 1), [Fault::Duplicate]);
        assert_eq!(member.message(12, 0, 1), [Fault::Duplicate]);
        assert_eq!(member.message(13, 0, 2), []);
    }

    #[test]
    fn a_message_behind_a_later_one_is_late_and_not_a_duplicate() {
        let mut member = Member::new();
        assert_eq!(member.message(11, 0, 4), [Fault::Missing(3)]);
        assert_eq!(member.message(12, 0, 2), [Fault::Late]);
        assert_eq!(member.message(13, 0, 2), [Fault::Duplicate]);
        assert_eq!(member.message(14, 0, 1), [Fault::Late]);
        assert_eq!(member.message(15, 0, 3), [Fault::Late]);
    }

    #[test]
    fn a_false_continuous_is_found() {
        let mut member = Member::new();
        assert_eq!(member.message(11, 0, 1), []);
        assert_eq!(member.welcome(ResumeOutcome::Continuous, 13), []);
        assert_eq!(member.message(12, 0, 2), []);
        assert_eq!(member.welcome(ResumeOutcome::Continuous, 14), []);
        assert!(matches!(member.message(14, 0, 4)[..], [Fault::Missing(1), Fault::Verdict(_)]));
        assert!(matches!(member.welcome(ResumeOutcome::Continuous, 9)[..], [Fault::Verdict(_)]));
    }

    #[test]
    fn what_a_verdict_says_is_lost_is_declared() {
        let mut member = Member::new();
        assert_eq!(member.message(11, 0, 1), []);
        assert_eq!(member.welcome(ResumeOutcome::Snapshot(12, 14), 20), []);
        assert_eq!(member.message(15, 0, 5), [Fault::Declared(3)]);
        assert_eq!(member.message(16, 0, 6), []);
        assert!(matches!(member.welcome(ResumeOutcome::Snapshot(19, 20), 20)[..], [Fault::Verdict(_)]));
        assert_eq!(member.welcome(ResumeOutcome::Reset, 3), []);
        assert_eq!(member.message(4, 0, 4), [], "sent again, after the server lost it");
        assert_eq!(member.message(5, 0, 5), []);
    }
}
