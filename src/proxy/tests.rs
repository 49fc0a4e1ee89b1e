//! Owns the tests of a proxy session without an upstream: what is relayed each way, and what a
//! client that comes back gets.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web_actors::ws::Message;
use bytestring::ByteString;

use super::session::{Ending, Intake, ProxySession};
use crate::{
    config::{
        ProxyConfig, Secret,
        feeds::{Budget, EndpointConfig},
    },
    observe::metrics::{Metrics, ProxyMetrics},
    protocol::Cause,
    ws::{Flusher, Frame, Incoming, Outbox, Outgoing, Policy, frame, valve::Valve},
};

mod resume;

const QUEUE_BYTES: usize = 200;
const OUTBOX_BYTES: usize = 200;

/// A proxy that passes everything on, resumes, and has practically no limit.
pub(super) fn config() -> ProxyConfig {
    ProxyConfig {
        id: "test".to_owned(),
        off: None,
        endpoint: EndpointConfig {
            url: Secret::new("wss://upstream.test/"),
            host: "upstream.test".to_owned(),
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(1),
            max_message_bytes: 1 << 20,
            allow_insecure: false,
            max_sent_bytes: 1 << 20,
        },
        spends_credential: false,
        query: Vec::new(),
        query_defaults: Vec::new(),
        query_instead: Vec::new(),
        roles: vec!["player".to_owned()],
        allowed_types: None,
        binary: true,
        max_client_message_bytes: 1 << 20,
        error_frames: true,
        budget: Budget { sessions_per_player: 10, sessions: 10, ..Budget::default() },
        resume: Duration::from_secs(10),
        resume_bytes: 560,
    }
}

struct World {
    session: Rc<ProxySession>,
    flusher: Rc<Flusher>,
    metrics: Arc<ProxyMetrics>,
    outbox_bytes: usize,
}

struct Client {
    connection: u64,
    outbox: Rc<Outbox>,
    valve: Rc<Valve>,
}

impl World {
    fn new(config: ProxyConfig) -> Self {
        let metrics = Metrics::new("test");
        let session = ProxySession::new(Arc::new(config), metrics.proxy("test", true), QUEUE_BYTES);
        let (flusher, metrics) = (Flusher::new(metrics.shard()), metrics.proxy("test", true));
        Self { session, flusher, metrics, outbox_bytes: OUTBOX_BYTES }
    }

    /// Attaches a client that reads, without a welcome.
    fn attach(&self, connection: u64, seen: Option<u64>) -> Client {
        let valve = Valve::open();
        let outbox = Outbox::new(Box::new(valve.clone()), self.flusher.clone(), self.outbox_bytes);
        self.session.attach((connection, std::net::Ipv4Addr::LOCALHOST.into()), &outbox, seen, |_| None);
        Client { connection, outbox, valve }
    }

    fn send(&self, client: &Client, text: &str) -> Intake {
        self.session.take(client.connection, Message::Text(text.into()))
    }

    /// The upstream sends this message, if it is read. Returns false if it is not.
    fn receive(&self, text: &str) -> bool {
        let may = self.has_room();
        if may {
            self.session.receive(&Incoming::Text(text.into())).expect("within the budget");
        }
        may
    }

    fn has_room(&self) -> bool {
        self.session.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn ended(&self) -> bool {
        self.session.poll_end(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

impl Client {
    fn is_paused(&self) -> bool {
        self.outbox.take_pause(std::time::Instant::now()).is_some()
    }

    /// Returns what the socket took since the last call.
    fn got(&self) -> Vec<u8> {
        self.outbox.flush();
        self.valve.taken.take()
    }
}

fn text(payload: &str) -> Frame {
    frame::text(|out| out.extend_from_slice(payload.as_bytes()))
}

fn frames(payloads: &[&str]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| text(payload).to_vec()).collect()
}

#[test]
fn x2_past_the_bound_the_client_is_not_read_until_half_of_it_is_out() {
    let world = World::new(config());
    let client = world.attach(1, None);
    let message = "x".repeat(40);
    for _ in 0..2 {
        assert!(matches!(world.send(&client, &message), Intake::Yes));
    }
    assert!(!client.is_paused());
    world.send(&client, &message);
    assert!(client.is_paused(), "264 of 200 bytes wait");
    assert_eq!(world.session.next(), Some(Outgoing::Text(ByteString::from(message.as_str()))));
    assert!(client.is_paused(), "176 wait");
    world.session.next();
    client.is_paused();
    assert!(!client.is_paused(), "88 wait");

    world.send(&client, &message);
    world.send(&client, &message);
    assert!(client.is_paused());
    let next = world.attach(2, None);
    assert!(next.is_paused(), "whoever comes back finds the queue as it is");
    world.session.forget_queue();
    next.is_paused();
    assert!(!next.is_paused());
}

#[test]
fn x2_past_the_bound_the_upstream_is_not_read_and_the_client_is_never_closed_for_it() {
    let world = World::new(config());
    let client = world.attach(1, None);
    client.valve.room.set(0);
    let message = "x".repeat(60);
    assert!(world.receive(&message) && world.receive(&message), "one message over the bound is taken");
    assert!(!world.receive(&message));
    client.outbox.queue(frame::ping(b"still there?"), Policy::Live, std::time::Instant::now());
    assert_eq!(client.outbox.cause(), None, "a ping does not fit the bound of the upstream's frames, and needs not");
    client.valve.room.set(usize::MAX);
    let expected = [frames(&[&message, &message]), frame::ping(b"still there?").to_vec()].concat();
    assert_eq!(client.got(), expected);
    assert!(world.receive(&message));
}

#[test]
fn x2_a_client_that_is_away_has_its_frames_kept_up_to_the_bound() {
    let world = World::new(config());
    let client = world.attach(1, None);
    world.receive("seen");
    client.got();
    world.session.detach(1);
    let message = "x".repeat(100);
    let kept = (0..10).take_while(|_| world.receive(&message)).count();
    assert_eq!(kept, 4, "504 bytes of 560, and the one that goes over");
    let back = world.attach(2, Some(1));
    assert_eq!(back.got(), frames(&[message.as_str(); 4]));
    assert!(world.receive("on it goes"));
}

#[test]
fn nothing_is_kept_for_whoever_cannot_come_back() {
    let world = World::new(ProxyConfig { resume: Duration::ZERO, ..config() });
    let client = world.attach(1, None);
    world.receive("a");
    assert_eq!(client.got(), frames(&["a"]));
    world.session.detach(1);
    assert!(!world.has_room());
    world.session.close_upstream(1001, "");
    assert!(world.has_room(), "what comes before its close frame is thrown away");
    assert_eq!(world.session.next(), Some(Outgoing::Close(1001, String::new())));
}

#[test]
fn without_a_seq_a_client_gets_what_its_old_socket_did_not_take() {
    let world = World::new(config());
    let old = world.attach(1, None);
    for payload in ["a", "b", "c"] {
        world.receive(payload);
    }
    // One frame and a part of the next.
    old.valve.room.set(text("a").len() + 1);
    assert_eq!(old.got(), &frames(&["a", "b"])[..text("a").len() + 1]);
    let new = world.attach(2, None);
    assert_eq!(new.got(), frames(&["c"]), "what is begun on the old socket ends there");
    old.valve.room.set(usize::MAX);
    let rest = [&frames(&["b"])[1..], &frame::close(4000, "replaced")].concat();
    assert_eq!(old.got(), rest);
    assert_eq!(old.outbox.cause(), Some(Cause::Replaced));
    assert!(matches!(world.send(&old, "late"), Intake::Yes));
    assert!(world.session.next().is_none(), "a connection that was replaced has no say");
}

#[test]
fn x4_the_end_of_the_upstream_comes_behind_its_last_frame_also_for_a_client_that_comes_back() {
    let world = World::new(config());
    let client = world.attach(1, None);
    client.valve.room.set(0);
    world.receive("last");
    client.outbox.flush();
    let ending = Ending { cause: Cause::UpstreamClosed(4321), reason: "enough".to_owned(), last: None };
    world.session.end(ending);
    assert!(!world.ended(), "the client has not got everything");
    assert_eq!(client.outbox.cause(), None);
    client.outbox.close(Cause::ConnectionLost, None);
    world.session.detach(1);
    assert!(!world.ended(), "nobody is there");
    let back = world.attach(2, Some(0));
    assert!(!world.ended());
    assert_eq!(back.got(), frames(&["last"]));
    assert!(world.ended());
    assert_eq!(back.got(), frame::close(4321, "enough").to_vec());
}

#[test]
fn a_pump_that_waits_is_woken_by_the_next_message() {
    let world = World::new(config());
    let client = world.attach(1, None);
    let mut context = Context::from_waker(Waker::noop());
    assert!(world.session.poll_next(&mut context).is_pending());
    world.send(&client, "a");
    assert_eq!(world.session.poll_next(&mut context), Poll::Ready(Outgoing::Text("a".into())));
}
