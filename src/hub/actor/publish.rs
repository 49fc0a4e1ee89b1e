//! Owns what a `Hub` does as an event bus: it opens the bus's log, writes what is published, and
//! sends a value to the shards when it is stored.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use actix::{ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use slog::warn;
use tokio::{sync::oneshot, time::sleep};

use super::{Hub, push};
use crate::{
    clock::Now,
    hub::{
        bus::{BusItem, Publication},
        handle::{PublishError, Receipt},
        messages::{Publish, Publisher},
        source::HubSource,
        update::TopicValue,
    },
    protocol::{RawJson, Topic},
    store::{Appended, Log, Outcome},
};

/// How long a bus waits before it tries again to read a log that it could not read (D5).
const READ_RETRY: Duration = Duration::from_millis(200);

impl Hub {
    /// Reads the bus's log. The hub handles no message until that is done.
    pub(super) fn open_bus(&mut self, context: &mut Context<Self>) {
        let HubSource::Bus(bus) = &self.source else { return };
        let (home, name, handle) = (bus.appender().clone(), bus.log_name().clone(), self.handle.clone());
        let reading = async move {
            let mut is_reported = false;
            loop {
                match home.read(name.clone()).await {
                    Ok(log) => return log,
                    Err(error) if !is_reported => {
                        let id = handle.id();
                        warn!(handle.logger(), "[WS {id}] the bus's log cannot be read now"; "hub" => %id, "error" => %error);
                        is_reported = true;
                    }
                    Err(_) => {}
                }
                sleep(READ_RETRY).await;
            }
        };
        context.wait(reading.into_actor(self).map(|log, hub, context| hub.opened(log.as_ref(), context)));
    }

    fn opened(&mut self, log: Option<&Log>, context: &mut Context<Self>) {
        let HubSource::Bus(bus) = &mut self.source else { return };
        if !bus.open(log, Now::read().unix_ms) {
            let id = self.handle.id();
            warn!(
                self.handle.logger(), "[WS {id}] the bus's log is damaged; values may be missing or old"; "hub" => %id
            );
        }
        for (topic, seq, data) in bus.values() {
            // No shard has sent its interest yet, so the shards returned here are none.
            let _ = self.topics.put(topic, seq, TopicValue { live: data.clone(), whole: None });
        }
        self.listen(context);
        self.settle(Now::read(), context);
    }

    /// Sends stored values to the shards, for as long as the hub lives.
    fn listen(&mut self, context: &mut Context<Self>) {
        let HubSource::Bus(bus) = &self.source else { return };
        let appender = bus.appender().clone();
        let stored = async move {
            appender.settled().await;
            appender
        };
        let stored = stored.into_actor(self);
        context.spawn(stored.map(move |appender, hub, context| {
            while let Some((outcome, item)) = appender.next() {
                hub.show(outcome, item, context);
            }
            hub.settle(Now::read(), context);
            hub.listen(context);
        }));
    }

    fn show(&mut self, outcome: Outcome, item: BusItem, context: &mut Context<Self>) {
        if outcome == Outcome::Rejected {
            // Another writer has begun the log anew: the next life reads what is there now.
            // Dropping the reply means that whether the value was stored is unknown.
            context.stop();
            return;
        }
        let (seq, answer) = match item {
            BusItem::Repeat { seq, answer } => (seq, answer),
            BusItem::Value { topic, seq, data, answer } => {
                self.show_value(&topic, seq, data, context);
                (seq, answer)
            }
        };
        // The publisher may be gone.
        let _ = answer.send(seq);
    }

    fn show_value(&mut self, topic: &Topic, seq: u64, data: RawJson, context: &mut Context<Self>) {
        let now = Now::read();
        self.make_room(now, context);
        let (update, shards) = self.topics.put(topic, seq, TopicValue { live: data, whole: None });
        push(&mut self.queues, &update, shards);
        self.handle.metrics().count_messages(1, now.unix_ms);
    }
}

impl Handler<Publish> for Hub {
    type Result = Result<Receipt, PublishError>;

    fn handle(&mut self, Publish { topic, data, by }: Publish, context: &mut Self::Context) -> Self::Result {
        let unix_ms = Now::read().unix_ms;
        let key = if let Publisher::BackEnd { key } = by { key } else { None };
        let HubSource::Bus(bus) = &mut self.source else { return Err(PublishError::Gone) };
        let is_new = !bus.has(&topic);
        let maker = if is_new { maker(&self.made, by, self.handle.shares().most())? } else { None };
        let (home, (answer, answered)) = (bus.appender().clone(), oneshot::channel());
        if let Some(seq) = key.map_or(Ok(None), |key| bus.known(&key, unix_ms))? {
            if self.topics.seq_of(&topic) >= Some(seq) {
                let _ = answer.send(seq);
            } else {
                bus.repeat(seq, answer);
            }
            return Ok(Receipt { answer: answered, is_new });
        }
        match bus.write(Publication { topic, data, key, unix_ms }, answer)? {
            (Appended::Pending(ticket), item) => home.defer(ticket, item),
            (Appended::Settled(outcome), item) => {
                self.show(outcome, item, context);
                self.settle(Now::read(), context);
            }
        }
        if let Some(address) = maker {
            *self.made.entry(address).or_default() += 1;
        }
        // Backpressure: while the store is slow, the hub handles no message, the mailbox fills up,
        // and publishers wait.
        if let Some(journal) = home.congested() {
            context.wait(async move { journal.space().await }.into_actor(self));
        }
        Ok(Receipt { answer: answered, is_new })
    }
}

/// Returns the address that a new topic is counted for; `None` for a back end, whose topics are not
/// counted.
///
/// # Errors
/// [`PublishError::Share`]: the client or its address has created as many topics as it may.
fn maker(made: &HashMap<IpAddr, usize>, by: Publisher, most: usize) -> Result<Option<IpAddr>, PublishError> {
    let Publisher::Client { address, may_make } = by else { return Ok(None) };
    if may_make && made.get(&address).is_none_or(|made| *made < most) {
        Ok(Some(address))
    } else {
        Err(PublishError::Share)
    }
}
