//! Owns the `Hub` actor: it passes the shards' interest to its source, and the source's values and
//! states to the shards. Each hub has a thread of its own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::ready,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult, Recipient, ResponseFuture,
    SpawnHandle, WrapFuture as _,
};
use slog::{debug, info, warn};

use super::{
    bus::Bus,
    event::{HubEvent, TopicRefusal},
    handle::HubHandle,
    messages::{Deliver, Interest, ListTopics, Stop, TopicLine},
    shard_queue::ShardQueue,
    source::{HubSource, SourceFactory},
    topics::{SourceCommand, TopicLimits, Topics, WatchOutcome},
    update::{TopicValue, Update},
    uplink::{FeedStatus, Gap, Note, Output},
    upstream::{self, Upstream},
};
use crate::{clock::Now, protocol::Topic, ws::Outgoing};

mod due;
mod publish;

/// Messages of shards, publishers and operators that may wait.
const MAILBOX_CAPACITY: usize = 1024;

/// How often a polled source is polled while a topic is wanted.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// One life of a hub: its topics, its source, and a queue to each shard.
///
/// Invariant: every handler ends with [`Hub::settle`], which carries out what has changed.
pub(super) struct Hub {
    handle: HubHandle,
    life: u64,
    pub(super) source: HubSource,
    topics: Topics,
    status: FeedStatus,
    queues: BTreeMap<usize, (Recipient<Deliver>, ShardQueue)>,
    /// For a bus: how many topics each address has created. Entries are never removed, as the
    /// topics never are.
    made: HashMap<IpAddr, usize>,
    timer: Option<(Instant, SpawnHandle)>,
    /// Runs while a topic of a polled source is wanted.
    polling: Option<SpawnHandle>,
    /// The server stops: clients that connect from now on do not open the upstream again.
    is_stopping: bool,
}

impl Hub {
    pub(super) fn new(handle: HubHandle, life: u64) -> Self {
        let config = handle.config();
        let source = match handle.origin() {
            SourceFactory::Polled(make) => HubSource::Polled(make()),
            SourceFactory::Bus(home) => HubSource::Bus(Box::new(Bus::new(handle.id(), home, config.max_topics))),
            SourceFactory::Upstream(plan) => HubSource::Upstream(Box::new(Upstream::new(plan.clone(), Now::read()))),
        };
        let rules = TopicLimits {
            linger: config.linger,
            max_topics: config.max_topics,
            keeps: matches!(source, HubSource::Bus(_)),
        };
        let (topics, status) = (Topics::new(rules, HubHandle::floor(life)), handle.first_status());
        let (queues, is_stopping) = (BTreeMap::new(), false);
        Self {
            handle,
            life,
            source,
            topics,
            status,
            queues,
            made: HashMap::new(),
            timer: None,
            polling: None,
            is_stopping,
        }
    }

    /// Carries out everything that has changed, and arms the timer for what is due later.
    pub(super) fn settle(&mut self, now: Now, context: &mut Context<Self>) {
        let mut is_new = false;
        for change in self.topics.changes() {
            is_new |= matches!(change, SourceCommand::Watch(_));
            if let SourceCommand::Evict(topic, shards) = &change {
                self.evict(topic, shards);
            }
            self.change(&change, now);
        }
        if let HubSource::Polled(_) = self.source {
            self.poll_while_watched(is_new, now, context);
        }
        self.carry_out(now, context);
        let shards: Vec<_> = self.queues.keys().copied().collect();
        shards.into_iter().for_each(|shard| self.send(shard, now, context));
        self.measure(now);
        self.arm(now, context);
    }

    fn change(&mut self, change: &SourceCommand, now: Now) {
        match (&mut self.source, change) {
            (HubSource::Polled(source), SourceCommand::Watch(topic)) => source.watch(topic),
            (HubSource::Polled(source), SourceCommand::Unwatch(topic)) => source.unwatch(topic),
            (HubSource::Upstream(upstream), SourceCommand::Watch(topic)) => upstream.uplink.want(topic, now),
            (HubSource::Upstream(upstream), SourceCommand::Unwatch(topic)) => upstream.uplink.unwant(topic, now),
            (HubSource::Upstream(upstream), SourceCommand::Active(is_active)) => {
                upstream.uplink.set_active(*is_active && !self.is_stopping, now);
            }
            (HubSource::Polled(_), SourceCommand::Active(_))
            | (HubSource::Bus(_), _)
            | (_, SourceCommand::Evict(..)) => {}
        }
    }

    /// Informs the shards that a topic without a value was removed to make room for another.
    fn evict(&mut self, topic: &Topic, shards: &BTreeSet<usize>) {
        debug!(self.handle.logger(), "[WS {}] topic {topic:?} never had a value, and makes room", self.handle.id();
            "hub" => %self.handle.id());
        self.handle.metrics().evicted.inc();
        // A shard may want the topic again in the same interest message; then it has it, and needs
        // no event.
        for shard in shards.iter().filter(|shard| !self.topics.is_wanted_by(topic, **shard)) {
            if let Some((_, queue)) = self.queues.get_mut(shard) {
                queue.forget(std::slice::from_ref(topic));
                queue.push(HubEvent::Evicted(topic.clone()));
            }
        }
    }

    /// Carries out the uplink's outputs in order, and those that they cause.
    pub(super) fn carry_out(&mut self, now: Now, context: &mut Context<Self>) {
        loop {
            let HubSource::Upstream(upstream) = &mut self.source else { return };
            let outputs: Vec<_> = upstream.uplink.drain().collect();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.do_one(output, now, context);
            }
        }
    }

    fn do_one(&mut self, output: Output, now: Now, context: &mut Context<Self>) {
        let HubSource::Upstream(upstream) = &mut self.source else { return };
        match output {
            Output::Connect => upstream.connect(context),
            Output::Send(frame) => upstream.send(upstream::text(&frame), now, context),
            Output::Ping => upstream.send(Outgoing::Ping, now, context),
            Output::Disconnect(code) => upstream.disconnect(code, context),
            Output::Feed(status) => {
                self.status = status;
                self.send_event(&HubEvent::Feed(status));
            }
            Output::Gap(gap) => {
                info!(self.handle.logger(), "[WS {}] gap: values may have been missed", self.handle.id();
                    "hub" => %self.handle.id(), "topics" => gap.topics.len(), "from" => gap.from, "to" => gap.to);
                self.topics.note_gap(gap.topics.iter(), gap.from, gap.to);
                self.send_event(&HubEvent::Gap(gap));
            }
            Output::Data(topic, live) => self.publish(&topic, TopicValue { live, whole: None }),
            Output::Rejected(rejected) => self.send_event(&HubEvent::Rejected(rejected)),
            Output::Note(note) => self.log(&note),
        }
    }

    fn log(&self, note: &Note) {
        let (id, logger) = (self.handle.id(), self.handle.logger());
        if note.is_trouble() {
            warn!(logger, "[WS {id}] {note}"; "hub" => %id, "attempt" => self.status.attempt);
        } else {
            info!(logger, "[WS {id}] {note}"; "hub" => %id, "attempt" => self.status.attempt);
        }
    }

    fn publish(&mut self, topic: &Topic, value: TopicValue) {
        if let Some((update, shards)) = self.topics.publish(topic, value) {
            push(&mut self.queues, &update, shards);
        }
    }

    fn send_event(&mut self, event: &HubEvent) {
        self.queues.values_mut().for_each(|(_, queue)| queue.push(event.clone()));
    }

    fn poll_while_watched(&mut self, is_new: bool, now: Now, context: &mut Context<Self>) {
        match self.polling {
            Some(polling) if self.topics.is_empty() => {
                context.cancel_future(polling);
                self.polling = None;
            }
            None if !self.topics.is_empty() => {
                self.polling = Some(context.run_interval(POLL_INTERVAL, |hub, context| {
                    let now = Now::read();
                    hub.make_room(now, context);
                    hub.poll(now);
                    hub.settle(now, context);
                }));
            }
            _ => {}
        }
        if is_new {
            self.poll(now);
        }
    }

    fn poll(&mut self, now: Now) {
        let HubSource::Polled(source) = &mut self.source else { return };
        for (topic, value) in source.poll(now) {
            self.publish(&topic, value);
            self.handle.metrics().count_messages(1, now.unix_ms);
        }
    }

    /// Call before the events of a frame are pushed. Sends what waits for each shard, or conflates
    /// a queue that is past its bound.
    pub(super) fn make_room(&mut self, now: Now, context: &mut Context<Self>) {
        let shards: Vec<_> = self.queues.keys().copied().collect();
        for shard in shards {
            self.send(shard, now, context);
            let Some((_, queue)) = self.queues.get_mut(&shard) else { continue };
            if queue.make_room(now.unix_ms) {
                self.handle.metrics().gaps.inc();
                info!(self.handle.logger(), "[WS {}] gap: a shard does not keep up", self.handle.id();
                    "hub" => %self.handle.id(), "shard" => shard);
            }
        }
    }

    /// Sends the next batch of events to a shard, unless one is on its way or the interval is not
    /// over.
    fn send(&mut self, shard: usize, now: Now, context: &mut Context<Self>) {
        let Some((reply, queue)) = self.queues.get_mut(&shard) else { return };
        let Some(events) = queue.next(now.instant) else { return };
        let sending =
            reply.send(Deliver { hub: self.handle.id().clone(), handled: queue.handled(), events }).into_actor(self);
        context.spawn(sending.map(move |_, hub, context| {
            if let Some((_, queue)) = hub.queues.get_mut(&shard) {
                queue.arrived();
            }
            let now = Now::read();
            hub.send(shard, now, context);
            hub.arm(now, context);
        }));
    }

    fn measure(&mut self, now: Now) {
        let metrics = self.handle.metrics();
        metrics.topics.set(self.topics.len() as i64);
        match &mut self.source {
            HubSource::Upstream(upstream) => upstream.measure(metrics, now),
            HubSource::Polled(_) | HubSource::Bus(_) => metrics.set_state(self.status.state, 0, false),
        }
    }

    /// Notes that a shard wants a topic, and queues the topic's last value and gap for it. Returns
    /// why if the hub refuses the topic.
    fn want(&mut self, topic: &Topic, shard: usize, now: Now) -> Option<TopicRefusal> {
        let is_nameless = matches!(&self.source, HubSource::Upstream(upstream) if !upstream.uplink.can_ask(topic));
        if is_nameless {
            return Some(TopicRefusal::Nameless);
        }
        let wanted = self.topics.want(topic, shard);
        let (_, queue) = self.queues.get_mut(&shard)?;
        match wanted {
            // Drops an `Evicted` that may still wait: this interest is newer.
            WatchOutcome::New => queue.forget(std::slice::from_ref(topic)),
            WatchOutcome::Known(last, gap) => {
                // Asks again if the upstream has rejected the topic.
                if let HubSource::Upstream(upstream) = &mut self.source {
                    upstream.uplink.want(topic, now);
                }
                last.into_iter().for_each(|last| queue.push(HubEvent::Last(last)));
                if let Some((from, to)) = gap {
                    queue.push(HubEvent::Gap(Gap { topics: Arc::new([topic.clone()].into()), from, to }));
                }
            }
            WatchOutcome::Refused => return Some(TopicRefusal::Full),
        }
        None
    }
}

/// Queues an update for the shards that want its topic.
fn push(
    queues: &mut BTreeMap<usize, (Recipient<Deliver>, ShardQueue)>,
    update: &Update,
    shards: impl Iterator<Item = usize>,
) {
    for shard in shards {
        if let Some((_, queue)) = queues.get_mut(&shard) {
            queue.push(HubEvent::Update(update.clone()));
        }
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.measure(Now::read());
        self.open_bus(context);
    }
}

/// A hub never ends by itself: if it is dropped, it has failed, and the handle starts the next
/// life.
impl Drop for Hub {
    fn drop(&mut self) {
        self.handle.ended(self.life);
    }
}

impl Handler<Interest> for Hub {
    type Result = Vec<(Topic, TopicRefusal)>;

    fn handle(&mut self, interest: Interest, context: &mut Self::Context) -> Self::Result {
        let now = Now::read();
        let Interest { shard, reply, change } = interest;
        let interval = self.handle.config().flush_interval;
        let status = self.status;
        let (_, queue) = self.queues.entry(shard).or_insert_with(|| {
            let mut queue = ShardQueue::new(interval);
            queue.push(HubEvent::Feed(status));
            (reply, queue)
        });
        queue.on_interest(change.number, &change.unwanted);
        if change.clients > 0 {
            self.topics.set_clients(shard, change.clients, now.instant);
        }
        for topic in &change.unwanted {
            self.topics.unwant(topic, shard, now.instant);
        }
        if change.clients == 0 {
            self.topics.set_clients(shard, 0, now.instant);
        }
        self.topics.begin_interest();
        let want = |topic: Topic| self.want(&topic, shard, now).map(|why| (topic, why));
        let refused = change.wanted.into_iter().filter_map(want).collect();
        self.settle(now, context);
        refused
    }
}

impl Handler<Stop> for Hub {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, context: &mut Self::Context) -> Self::Result {
        let now = Now::read();
        self.is_stopping = true;
        let HubSource::Upstream(upstream) = &mut self.source else { return Box::pin(ready(())) };
        upstream.uplink.stop(now);
        let closed = upstream.closed();
        self.settle(now, context);
        Box::pin(closed)
    }
}

impl Handler<ListTopics> for Hub {
    type Result = MessageResult<ListTopics>;

    fn handle(&mut self, _: ListTopics, _: &mut Self::Context) -> Self::Result {
        let lines = self.topics.list().into_iter();
        MessageResult(lines.map(|(topic, seq, wanted)| TopicLine { topic: topic.clone(), seq, wanted }).collect())
    }
}
