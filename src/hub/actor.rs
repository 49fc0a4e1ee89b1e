//! Owns the `Hub` actor: it tells its source what is wanted, and the shards what the source says.
//! Called by the branches of its shards; it runs on the thread that `app` gives it.

use std::{collections::BTreeMap, time::Duration};

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, Recipient, SpawnHandle, WrapFuture as _,
};

use super::{
    fanout::Wishes,
    lane::Lane,
    topics::{Topics, Wanted},
    update::{Update, Value},
};
use crate::{
    clock::Now,
    protocol::{HubId, Topic},
};

/// What branches may have on its way: one message each.
const MAILBOX_CAPACITY: usize = 1024;

/// How often a source is asked while anything is wanted.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Where a hub's values come from; lives with the hub, on its thread.
pub trait Source: Send + 'static {
    /// Somebody wants this topic now, and nobody did.
    fn watch(&mut self, topic: &Topic);

    /// Nobody wants it any more.
    fn unwatch(&mut self, topic: &Topic);

    /// What is new of the watched topics. Asked every [`POLL_INTERVAL`] while there are any, and at once for a new one.
    fn poll(&mut self, now: Now) -> Vec<(Topic, Value)>;
}

// ---- commands

/// Sent by a branch whose shard's wishes have changed; the next one only when this is answered. Mailbox full: it waits.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wish {
    pub shard: usize,
    /// The shard itself.
    pub reply: Recipient<Deliver>,
    pub wishes: Wishes,
}

// ---- events

/// Sent to a shard that wants some of these topics; the next one only when this is answered. Mailbox full: it waits, and
/// newer values take the place of older ones meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    pub hub: HubId,
    pub updates: Vec<Update>,
}

/// One feed: topics, and lanes to the shards that want them.
pub struct Hub {
    id: HubId,
    source: Box<dyn Source>,
    topics: Topics,
    lanes: BTreeMap<usize, (Recipient<Deliver>, Lane)>,
    /// Runs while anything is wanted.
    polling: Option<SpawnHandle>,
}

impl Hub {
    pub fn new(id: HubId, source: Box<dyn Source>) -> Self {
        Self { id, source, topics: Topics::default(), lanes: BTreeMap::new(), polling: None }
    }

    fn poll(&mut self, context: &mut Context<Self>) {
        for (topic, value) in self.source.poll(Now::read()) {
            let Some((update, shards)) = self.topics.publish(&topic, value) else { continue };
            for shard in shards {
                if let Some((_, lane)) = self.lanes.get_mut(&shard) {
                    lane.push(update.clone());
                }
            }
        }
        let shards: Vec<_> = self.lanes.keys().copied().collect();
        shards.into_iter().for_each(|shard| self.send(shard, context));
    }

    /// The next message to a shard, unless one is on its way.
    fn send(&mut self, shard: usize, context: &mut Context<Self>) {
        let Some((reply, lane)) = self.lanes.get_mut(&shard) else { return };
        let Some(updates) = lane.next() else { return };
        let sending = reply.send(Deliver { hub: self.id.clone(), updates }).into_actor(self);
        context.spawn(sending.map(move |_, hub, context| {
            if let Some((_, lane)) = hub.lanes.get_mut(&shard) {
                lane.sent();
            }
            hub.send(shard, context);
        }));
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

impl Handler<Wish> for Hub {
    type Result = ();

    fn handle(&mut self, wish: Wish, context: &mut Self::Context) {
        let Wish { shard, reply, wishes } = wish;
        let (_, lane) = self.lanes.entry(shard).or_insert_with(|| (reply, Lane::default()));
        for topic in &wishes.unwanted {
            lane.forget(topic);
            if self.topics.unwant(topic, shard) {
                self.source.unwatch(topic);
            }
        }
        let mut is_new = false;
        for topic in &wishes.wanted {
            match self.topics.want(topic, shard) {
                Wanted::First => {
                    self.source.watch(topic);
                    is_new = true;
                }
                Wanted::Known(Some(last)) => lane.push(last),
                Wanted::Known(None) => {}
            }
        }
        match self.polling {
            Some(polling) if self.topics.is_empty() => {
                context.cancel_future(polling);
                self.polling = None;
            }
            None if !self.topics.is_empty() => {
                self.polling = Some(context.run_interval(POLL_INTERVAL, Self::poll));
            }
            _ => {}
        }
        if is_new {
            self.poll(context);
        }
        self.send(shard, context);
    }
}
