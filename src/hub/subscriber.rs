//! Owns a connection's part of a hub: how a client enters (section 6), and what its frames do
//! there.

use std::{
    cell::{Cell, OnceCell},
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    access,
    fanout::{Availability, TooMany},
    handle::PublishError,
    local_hub::LocalHub,
    messages::Publisher,
    pending_replies::PendingReplies,
    shares::{Holder, TopicReservation},
};
use crate::{
    config::feeds::share,
    gate::Resource,
    observe::log::SecurityFields,
    protocol::{Cause, Dialect, HubId, HubRequest, RawJson, ServerFrame, Topic, error_code, server::SubscribedFeed},
    service::{Entered, Entering, Entry, EntryRefusal, Flow, LocalFuture, Service, Target},
    ws::{Frame, Outbox, Policy, error_frame, json_frame},
};

/// How long a subscription waits for the hub to handle the interest.
const PATIENCE: Duration = Duration::from_secs(10);

/// A hub that a socket asks for.
pub(crate) struct HubTarget {
    pub id: HubId,
    /// The server's own hub, which only operators enter.
    pub is_for_operators: bool,
    /// A hub that is not there has the reason for its clients instead.
    pub hub: Result<Rc<LocalHub>, String>,
}

/// What a connection holds of the hub; leaves it when dropped.
pub(super) struct Subscriber {
    local: Rc<LocalHub>,
    /// Unique on this shard.
    connection: u64,
    outbox: Rc<Outbox>,
    /// Empty for an operator.
    role: String,
    address: IpAddr,
    /// How many topics of a bus this connection has created.
    made: Rc<Cell<usize>>,
    /// Set when the connection publishes for the first time.
    answers: OnceCell<Rc<PendingReplies>>,
}

impl Target for HubTarget {
    fn resource(&self) -> Resource<'_> {
        let hub = self.id.as_str();
        if self.is_for_operators { Resource::ServerHub(hub) } else { Resource::Hub(hub) }
    }

    fn dialect(&self) -> Dialect {
        Dialect::Hub
    }

    fn log_fields(&self) -> SecurityFields<'_> {
        SecurityFields { hub: Some(self.id.as_str()), ..Default::default() }
    }

    /// Enters at once, as the local hub is on this thread.
    fn enter(self: Rc<Self>, entry: Entry) -> Entering {
        Entering::Done(self.subscriber(entry).map(|subscriber| Entered { service: Box::new(subscriber), resume: None }))
    }
}

impl HubTarget {
    fn subscriber(&self, entry: Entry) -> Result<Subscriber, EntryRefusal> {
        // A subscriber replaces no other one.
        if entry.must_replace {
            return Err(EntryRefusal::NothingReplaced);
        }
        let hub = self.hub.as_ref().map_err(|why| EntryRefusal::because(Cause::NoSuchHub, why.as_str()))?;
        let role = entry.standing.role().unwrap_or_default();
        Subscriber::enter(hub, entry.connection, &entry.outbox, role, entry.address)
    }
}

impl Subscriber {
    /// Sends a client its welcome, and lets it do what its role may do. `connection` is unique on
    /// this shard; `address` is the address that limits count by.
    ///
    /// # Errors
    /// The hub keeps failing.
    pub(super) fn enter(
        local: &Rc<LocalHub>,
        connection: u64,
        outbox: &Rc<Outbox>,
        role: &str,
        address: IpAddr,
    ) -> Result<Self, EntryRefusal> {
        if local.hub.address().is_none() {
            return Err(EntryRefusal::because(Cause::Overloaded, "the hub keeps failing; reconnect later"));
        }
        let topics: Vec<_> =
            access::patterns(&local.hub.config().access, role).iter().map(|pattern| pattern.0.as_str()).collect();
        let heartbeat = local.heartbeat;
        let welcome = ServerFrame::HubWelcome { protocol: 1, hub: local.hub.id(), topics: &topics, heartbeat };
        outbox.queue(json_frame(|out| welcome.write(out)), Policy::Live, Instant::now());
        let holder = (!role.is_empty()).then(|| Holder::new(local.hub.shares().clone(), address));
        local.fanout.borrow_mut().enter(connection, outbox.clone(), holder);
        local.hub.client_entered();
        local.ask();
        let (local, outbox, role, made) = (local.clone(), outbox.clone(), role.to_owned(), Rc::default());
        Ok(Self { local, connection, outbox, role, address, made, answers: OnceCell::new() })
    }

    /// H1: subscribes to all of the topics; to those within the subscriber's share, after an
    /// `error`; or to none, with an `error`. `subscribed` promises every value from then on, so it
    /// waits until the hub has handled the interest in topics that are new to this shard. Read
    /// nothing more from this client until the returned future resolves.
    pub(super) fn subscribe(&self, topics: Vec<Topic>) -> Option<LocalFuture<()>> {
        let config = self.local.hub.config();
        let patterns = access::patterns(&config.access, &self.role);
        if let Some(other) = topics.iter().find(|topic| !access::admits(patterns, topic)) {
            // An operator, whose role is empty, may subscribe to every topic of the server's own
            // hub, so any other topic does not exist.
            let code = if self.role.is_empty() { error_code::UNKNOWN_TOPIC } else { error_code::FORBIDDEN };
            let message = format!("there is no topic {other:?} here for you; see the topics of the welcome");
            refuse(&self.outbox, code, &message);
            return None;
        }
        let (topics, beyond) = self.local.fanout.borrow().fitting(self.connection, topics);
        if let Some(who) = beyond {
            self.refuse_share(&who);
        }
        if topics.is_empty() {
            return None;
        }
        // Another shard may have taken the last topics of the address meanwhile.
        let claim = self.local.fanout.borrow_mut().reserve(self.connection, &topics);
        let claim = claim.map_err(|who| self.refuse_share(&who)).ok()?;
        let (local, connection, outbox) = (self.local.clone(), self.connection, self.outbox.clone());
        let expected = Expected { local, connection, outbox, topics, _claim: claim };
        self.local.ask();
        if expected.settle() {
            return None;
        }
        Some(Box::pin(async move {
            let settled = async {
                loop {
                    // Created before `settle` looks, or a notification between the two would be
                    // missed.
                    let interest_handled = expected.local.interest_handled.notified();
                    if expected.settle() {
                        break;
                    }
                    interest_handled.await;
                }
            };
            if timeout(PATIENCE, settled).await.is_err() {
                refuse(&expected.outbox, error_code::UNAVAILABLE, "the hub does not answer at the moment");
            }
        }))
    }

    fn refuse_share(&self, who: &TooMany) {
        let hub = &self.local.hub;
        let (whose, most, key) = match who {
            TooMany::Client => ("a subscriber", hub.config().max_topics_per_client, "max_topics_per_client"),
            TooMany::Address => ("the subscribers of one address", hub.shares().most(), "max_topics_per_address"),
        };
        let message = format!("{whose} may have {most} topics ({key}); those beyond that are not subscribed");
        refuse(&self.outbox, error_code::TOO_MANY_TOPICS, &message);
    }

    /// Ignores topics that the subscriber does not have. There is no reply, and no value of these
    /// topics follows.
    pub(super) fn unsubscribe(&self, topics: &[Topic]) {
        self.local.fanout.borrow_mut().unsubscribe(self.connection, topics);
        self.local.ask();
    }

    /// Publishes to an event bus. The reply is `published` or `error`, without an `id` only
    /// `error`; it may come after the future resolves. Read nothing more from this client until the
    /// future resolves: that keeps its publications in order.
    pub(super) fn publish(&self, id: Option<u64>, topic: Topic, data: RawJson) -> impl Future<Output = ()> + use<> {
        let (hub, outbox) = (self.local.hub.clone(), self.outbox.clone());
        let answers = self.answers.get_or_init(Rc::default).clone();
        let is_allowed = access::may_publish(&hub.config().access, &self.role);
        let (address, made) = (self.address, self.made.clone());
        async move {
            let refuse = |code, message| outbox.queue(error_frame(code, message, id), Policy::Live, Instant::now());
            if !hub.is_bus() {
                return refuse(error_code::FORBIDDEN, "this hub's values come from its upstream");
            }
            if !is_allowed {
                return refuse(error_code::FORBIDDEN, "this role may not publish here");
            }
            let may_make = made.get() < share(hub.config().max_topics);
            let receipt = match hub.publish(topic.clone(), data, Publisher::Client { address, may_make }).await {
                Ok(receipt) => receipt,
                Err(PublishError::Share) => return refuse(error_code::TOO_MANY_TOPICS, PublishError::SHARE),
                Err(PublishError::Full) => return refuse(error_code::TOO_MANY_TOPICS, PublishError::FULL),
                // A client gives no key, so a mismatch cannot happen.
                Err(PublishError::Gone | PublishError::Mismatch) => {
                    return refuse(error_code::UNAVAILABLE, PublishError::GONE);
                }
            };
            made.set(made.get() + usize::from(receipt.is_new));
            answers.push(receipt, id, topic, outbox);
        }
    }
}

impl Service for Subscriber {
    fn hub_request(&mut self, request: HubRequest) -> Flow {
        match request {
            HubRequest::Subscribe { topics } => self.subscribe(topics).map_or(Flow::Continue, Flow::Wait),
            HubRequest::Unsubscribe { topics } => {
                self.unsubscribe(&topics);
                Flow::Continue
            }
            HubRequest::Publish { id, topic, data } => Flow::Wait(Box::pin(self.publish(id, topic, data))),
        }
    }

    fn reply(&mut self, frame: Frame) -> Flow {
        self.outbox.queue(frame, Policy::Live, Instant::now());
        Flow::Continue
    }
}

/// A subscription whose interest the hub may not have handled yet; given up when it is dropped.
struct Expected {
    local: Rc<LocalHub>,
    connection: u64,
    outbox: Rc<Outbox>,
    topics: Vec<Topic>,
    _claim: TopicReservation,
}

impl Expected {
    /// Sends the client its reply if the hub has handled the interest. Returns false if it has not
    /// yet.
    fn settle(&self) -> bool {
        if self.outbox.cause().is_some() {
            return true;
        }
        let mut fanout = self.local.fanout.borrow_mut();
        match fanout.availability(&self.topics) {
            Availability::Unknown => return false,
            Availability::Refused(topic, why) => {
                let (code, reason) = why.words();
                refuse(&self.outbox, code, &format!("{reason}: {topic:?}"));
            }
            Availability::Known => {
                let (topics, state) = (&self.topics[..], fanout.state());
                let subscribed =
                    json_frame(|out| ServerFrame::Subscribed { topics, feed: SubscribedFeed { state } }.write(out));
                fanout.subscribe(self.connection, topics, subscribed, Instant::now());
            }
        }
        true
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.local.fanout.borrow_mut().cancel_reservation(&self.topics);
        self.local.ask();
    }
}

fn refuse(outbox: &Rc<Outbox>, code: &str, message: &str) {
    outbox.queue(error_frame(code, message, None), Policy::Live, Instant::now());
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.local.fanout.borrow_mut().leave(self.connection) {
            self.local.hub.client_left();
        }
        self.local.ask();
    }
}
