//! Owns the tests of a hub that fails: real actors on real threads, and a source that panics on
//! demand.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, ResponseFuture};
use slog::{Discard, Logger};

use super::*;
use crate::{
    clock::Now,
    config::{
        HubConfig,
        feeds::{TopicAccess, TopicPattern},
    },
    hub::{Deliver, HubHandle, HubPlan, LocalHub, SourceFactory, source::Polled, subscriber::Subscriber},
    protocol::{Cause, HubId, server::HeartbeatTerms},
    service::EntryRefusal,
};

/// How long a test waits for an event that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Publishes how often it was polled, in all of its lives; panics as often as `panics` demands.
struct Fragile {
    asked: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
}

impl Polled for Fragile {
    fn watch(&mut self, _: &Topic) {}

    fn unwatch(&mut self, _: &Topic) {}

    fn poll(&mut self, _: Now) -> Vec<(Topic, TopicValue)> {
        let is_told = self.panics.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        assert!(!is_told, "as the test wants it");
        let asked = self.asked.fetch_add(1, SeqCst) + 1;
        vec![(topic("a"), TopicValue { live: RawJson::from_serialize(&asked), whole: None })]
    }
}

/// The part of a shard that a hub talks to.
struct Shard(Rc<LocalHub>);

impl Actor for Shard {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) -> Self::Result {
        self.0.deliver(deliver.handled, deliver.events)
    }
}

/// The address of all clients.
const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct Setting {
    panics: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
    local: Rc<LocalHub>,
}

impl Setting {
    fn start() -> Self {
        let (panics, asked, metrics) = (Arc::<AtomicU64>::default(), Arc::default(), Metrics::new("test"));
        let told = panics.clone();
        let make = move || {
            let source: Box<dyn Polled> = Box::new(Fragile { asked: Arc::clone(&asked), panics: told.clone() });
            source
        };
        let config = HubConfig {
            id: "fragile".into(),
            provider: "test".into(),
            off: None,
            feed: None,
            access: TopicAccess { subscribe: vec![("*".into(), vec![TopicPattern("*".into())])], publish: Vec::new() },
            max_topics: 9,
            max_topics_per_client: 9,
            max_topics_per_address: None,
            linger: Duration::ZERO,
            flush_interval: Duration::ZERO,
        };
        let hub = HubHandle::start(HubPlan {
            id: HubId::parse("fragile").expect("an id"),
            config,
            origin: SourceFactory::Polled(Box::new(make)),
            max_topics_per_address: 9,
            metrics: metrics.hub("fragile", "test", true),
            logger: Logger::root(Discard, slog::o!()),
        });
        let mut local = None;
        Shard::create(|context| {
            let heartbeat = HeartbeatTerms { interval_ms: 1, timeout_ms: 1 };
            let new = LocalHub::new(hub, 0, context.address().recipient(), heartbeat);
            local = Some(new.clone());
            Shard(new)
        });
        Self { panics, metrics, local: local.expect("it has just been made") }
    }

    fn restarts(&self) -> u64 {
        self.metrics.hub("fragile", "test", true).restarts.get()
    }
}

async fn wait_until(is_so: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_hub_that_fails_is_started_again_and_its_subscribers_stay_and_hear_of_the_gap() {
    actix::System::new().block_on(async {
        let (setting, client) = (Setting::start(), Client::new());
        let subscriber = Subscriber::enter(&setting.local, 1, &client.outbox, "player", HERE).expect("it runs");
        subscriber.subscribe(vec![topic("a")]).expect("the hub has to hear of it").await;
        let values = || client.received().iter().filter(|frame| frame["type"] == "data").count();
        wait_until(|| values() > 1, "two values").await;
        for restarts in 1..=2 {
            setting.panics.store(1, SeqCst);
            wait_until(|| setting.restarts() == restarts, "a restart").await;
            let before = values();
            wait_until(|| values() > before + 1, "values of the next life").await;
        }
        let told = client.received();
        assert_eq!(client.outbox.cause(), None);
        assert_eq!(told.iter().filter(|frame| frame["type"] == "gap").count(), 2, "{told:?}");
        assert_eq!(told.iter().filter(|frame| frame["type"] == "feed").count(), 0, "always live: {told:?}");
        let mut seen = (0, 0);
        let mut gaps = 0;
        for frame in told {
            if frame["type"] == "gap" {
                assert_eq!(frame["topics"], json!(["a"]));
                assert!(frame["from"].as_u64() <= frame["to"].as_u64(), "{frame}");
                gaps += 1;
            }
            if let (Some(seq), Some(data)) = (frame["seq"].as_u64(), frame["data"].as_u64()) {
                assert!(seq > seen.0 && data > seen.1, "{frame} behind {seen:?}");
                assert_eq!(gaps, seq >> 40, "the gap comes before what is fresh: {frame}");
                seen = (seq, data);
            }
        }
        drop(subscriber);
        wait_until(|| setting.metrics.hub("fragile", "", true).topics.get() == 0, "nobody wants it").await;
    });
}

#[test]
fn a_hub_that_keeps_failing_closes_its_subscribers_and_turns_newcomers_away() {
    actix::System::new().block_on(async {
        let (setting, client) = (Setting::start(), Client::new());
        let subscriber = Subscriber::enter(&setting.local, 1, &client.outbox, "player", HERE).expect("it runs");
        setting.panics.store(u64::MAX, SeqCst);
        let subscribing = subscriber.subscribe(vec![topic("a")]).expect("the hub has to hear of it");
        wait_until(|| client.outbox.cause().is_some(), "a close").await;
        assert_eq!(client.outbox.cause().map(Cause::code), Some(1011));
        assert_eq!(setting.restarts(), 5, "as often as a room may fail in a minute");
        // The subscription does not wait for a hub that does not exist.
        subscribing.await;
        let late = Client::new();
        let refusal = Subscriber::enter(&setting.local, 2, &late.outbox, "player", HERE).err();
        assert!(matches!(refusal, Some(EntryRefusal::Closed { cause: Cause::Overloaded, .. })), "{refusal:?}");
        drop(subscriber);
        assert_eq!(setting.metrics.hub("fragile", "", true).clients.get(), 0);
    });
}

#[test]
fn a_burst_for_thousands_is_told_in_order_and_in_parts_with_other_work_of_the_shard_in_between() {
    actix::System::new().block_on(async {
        let setting = Setting::start();
        let clients: Vec<_> = (0..2000).map(|_| Client::new()).collect();
        let subscribers: Vec<_> = (0..)
            .zip(&clients)
            .map(|(number, client)| {
                Subscriber::enter(&setting.local, number, &client.outbox, "player", HERE).expect("it runs")
            })
            .collect();
        // The source has no value for this topic.
        for subscriber in &subscribers {
            if let Some(answer) = subscriber.subscribe(vec![topic("b")]) {
                answer.await;
            }
        }
        let told =
            |client: &Client| -> Vec<u64> { client.received().iter().filter_map(|it| it["seq"].as_u64()).collect() };
        let event = |from: u64| (from..from + 30).map(|seq| update("b", seq, "x")).collect();
        let (first, second) = (setting.local.deliver(u64::MAX, event(1)), setting.local.deliver(u64::MAX, event(31)));
        let at_once = told(&clients[1999]).len();
        assert!((1..60).contains(&at_once), "a part: {at_once}");
        first.await;
        let then = told(&clients[0]).len();
        assert!((30..60).contains(&then), "the hub hears of the first message before the second is told: {then}");
        second.await;
        for client in [&clients[0], &clients[1999]] {
            assert_eq!(told(client), (1..=60).collect::<Vec<_>>());
        }
    });
}
