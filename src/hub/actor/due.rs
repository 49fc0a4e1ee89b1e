//! Owns a hub's one timer: the earliest deadline of its upstream, its topics and its shard queues.

use std::time::Instant;

use actix::{AsyncContext as _, Context};

use super::{Hub, HubSource};
use crate::clock::{self, Now};

impl Hub {
    /// Arms the one timer for the earliest deadline; a hub without a deadline has no timer.
    pub(super) fn arm(&mut self, now: Now, context: &mut Context<Self>) {
        let uplink = match &self.source {
            HubSource::Upstream(upstream) => upstream.uplink.next_deadline(),
            HubSource::Polled(_) | HubSource::Bus(_) => None,
        };
        let queues = self.queues.values().filter_map(|(_, queue)| queue.next_deadline());
        let due = queues.chain(uplink).chain(self.topics.next_deadline()).min();
        if let Some((armed, handle)) = self.timer {
            // A timer that fires early finds nothing to do and is armed again.
            if due.is_some_and(|due| armed <= due) {
                return;
            }
            context.cancel_future(handle);
            self.timer = None;
        }
        let Some(due) = due else { return };
        self.arm_at(due, now, context);
    }

    fn arm_at(&mut self, due: Instant, now: Now, context: &mut Context<Self>) {
        let wait = due.saturating_duration_since(now.instant);
        let handle = context.run_later(wait, move |hub, context| {
            hub.timer = None;
            let now = Now::read();
            if let Some(later) = clock::postponed(due, now.instant) {
                hub.arm_at(later, now, context);
                return;
            }
            hub.topics.tick(now.instant);
            if let HubSource::Upstream(upstream) = &mut hub.source {
                upstream.uplink.tick(now);
            }
            hub.settle(now, context);
        });
        self.timer = Some((due, handle));
    }
}
