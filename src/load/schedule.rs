//! Owns when a sender is to send what. Times are nanoseconds since the run began. A message's time
//! is fixed beforehand, so a wait for the server counts as the server's latency.

use super::message::Stamp;

#[derive(Debug)]
pub(super) struct Schedule {
    sender: u32,
    interval: u64,
    /// When number 1 was due; before the run began if the sender has paused.
    base: i128,
    /// The next number to send. After a resume it may be one that was sent before.
    next: u32,
    /// The greatest number sent so far.
    sent: u32,
    /// The greatest number that the server has taken.
    acknowledged: u32,
    /// A sender that is behind its times sends at most twice as fast as it would: see
    /// `MESSAGE_RATE`.
    not_before: u64,
}

impl Schedule {
    pub(super) fn new(sender: u32, interval: u64) -> Self {
        Self { sender, interval, base: 0, next: 1, sent: 0, acknowledged: 0, not_before: 0 }
    }

    /// The first message is due then.
    pub(super) fn start(&mut self, first: u64) {
        self.base = first.into();
    }

    fn due(&self, number: u32) -> u64 {
        let due = self.base + i128::from(number - 1) * i128::from(self.interval);
        u64::try_from(due).unwrap_or(0)
    }

    /// When to send next; `None` if nothing more is due before `end`.
    pub(super) fn wake(&self, end: u64) -> Option<u64> {
        let due = self.due(self.next);
        (due <= end).then(|| due.max(self.not_before))
    }

    /// Takes the next message, which is sent now.
    pub(super) fn take(&mut self, now: u64) -> Stamp {
        let number = self.next;
        let stamp = Stamp { sender: self.sender, number, due: self.due(number) };
        self.next += 1;
        self.sent = self.sent.max(number);
        self.not_before = now + self.interval / 2;
        stamp
    }

    /// The server has taken the message with this number, and all before it.
    pub(super) fn acknowledge(&mut self, number: u32) {
        self.acknowledged = self.acknowledged.max(number);
    }

    /// Goes on behind what the server has taken: `last_id` is what its welcome says. After a cut of
    /// the sender's own, `cut` is now: the times in which it was away are no latency.
    pub(super) fn resume(&mut self, last_id: u32, cut: Option<u64>) {
        self.acknowledge(last_id.min(self.sent));
        self.next = self.acknowledged + 1;
        if let Some(now) = cut {
            self.base = self.base.max(i128::from(now) - i128::from(self.next - 1) * i128::from(self.interval));
        }
    }

    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Returns how many messages were due until `end` and never sent.
    pub(super) fn unsent(&self, end: u64) -> u64 {
        let due = (i128::from(end) - self.base) / i128::from(self.interval) + 1;
        u64::try_from(due).unwrap_or(0).saturating_sub(self.sent.into())
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 1000;

    #[test]
    fn a_late_message_keeps_the_time_it_was_due_and_the_sender_catches_up_at_twice_the_rate() {
        let mut schedule = Schedule::new(0, 100);
        schedule.start(50);
        assert_eq!(schedule.wake(END), Some(50));
        assert_eq!(schedule.take(370), Stamp { sender: 0, number: 1, due: 50 });
        assert_eq!(schedule.wake(END), Some(420));
        assert_eq!(schedule.take(420).due, 150);
        assert_eq!(schedule.take(470).due, 250);
        assert_eq!(schedule.take(520).due, 350);
        assert_eq!((schedule.wake(END), schedule.wake(400)), (Some(570), None));
        assert_eq!((schedule.unsent(END), schedule.unsent(450), schedule.unsent(400)), (6, 1, 0));
    }

    #[test]
    fn after_an_outage_what_the_server_has_not_taken_is_sent_again_with_its_old_time() {
        let mut schedule = Schedule::new(0, 100);
        schedule.start(0);
        for at in 0..4 {
            let _ = schedule.take(at * 100);
        }
        schedule.acknowledge(1);
        schedule.resume(2, None);
        assert_eq!(schedule.take(900), Stamp { sender: 0, number: 3, due: 200 });
        assert_eq!((schedule.sent(), schedule.acknowledged()), (4, 2));
        // A room that was reset knows no id, and what was taken is not sent again.
        schedule.resume(0, None);
        assert_eq!(schedule.take(950).number, 3);
    }

    #[test]
    fn time_in_which_a_sender_is_away_by_its_own_will_is_no_latency() {
        let mut schedule = Schedule::new(0, 100);
        schedule.start(0);
        for at in 0..3 {
            let _ = schedule.take(at * 100);
        }
        schedule.resume(2, Some(700));
        assert_eq!(schedule.take(700), Stamp { sender: 0, number: 3, due: 700 });
        assert_eq!(schedule.wake(END), Some(800));
    }
}
