//! Owns `Fake`: a provider on a port of this machine, its connections, and what a test does to
//! them.

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::SockRef;
use tungstenite::{
    Message, WebSocket,
    handshake::server::{ErrorResponse, Request, Response},
};

use super::{
    Desk, Peer, Provider,
    desk::Door,
    port::Port,
    wire::{self, Wire},
};
use crate::support::PATIENCE;

/// How long a client that comes back is kept waiting for the end of its old connection to be read:
/// that came first, but another thread reads it. Whoever opens a second connection beside the first
/// one is found out when it is over.
const OVERLAP: Duration = Duration::from_secs(2);

/// A fake upstream. It listens from the start; dropping it ends everything.
pub struct Fake<P: Provider> {
    shared: Arc<Shared<P>>,
    port: Port,
    listening: Option<(TcpListener, JoinHandle<()>)>,
}

struct Shared<P> {
    desk: Mutex<Desk<P>>,
    changed: Condvar,
}

impl<P: Provider> Fake<P> {
    pub fn start(provider: P) -> Self {
        let shared = Arc::new(Shared { desk: Mutex::new(Desk::new(provider)), changed: Condvar::new() });
        let mut fake = Self { shared, port: Port::reserve(), listening: None };
        fake.up();
        fake
    }

    /// `ws://…` and this path.
    pub fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port.number)
    }

    // ---- what it knows

    pub fn look<T>(&self, read: impl FnOnce(&Desk<P>) -> T) -> T {
        read(&self.shared.desk.lock().expect("desk"))
    }

    /// Waits until something is found in what it knows.
    pub fn wait<T>(&self, what: &str, find: impl Fn(&Desk<P>) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut desk = self.shared.desk.lock().expect("desk");
        loop {
            if let Some(found) = find(&desk) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (now, ever, topics) = (desk.now(), desk.ever, desk.topics());
                let frames: Vec<_> = desk.frames.iter().rev().take(5).map(|(_, _, frame)| frame.to_string()).collect();
                drop(desk);
                panic!("never came: {what}; {now} connections of {ever}, subscribed {topics:?}, heard last {frames:?}");
            }
            desk = self.shared.changed.wait_timeout(desk, left).expect("desk").0;
        }
    }

    pub fn wait_for_topics(&self, topics: &[&str]) {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.wait(&format!("subscriptions {topics:?}"), |desk| (desk.topics() == topics).then_some(()));
    }

    /// Waits until this many connections are open.
    pub fn wait_for_connections(&self, count: usize) {
        self.wait(&format!("{count} connections"), |desk| (desk.now() == count).then_some(()));
    }

    /// Waits until this many connections have been admitted in all, and are open or over.
    pub fn wait_for_ever(&self, count: usize) {
        self.wait(&format!("{count} connections ever"), |desk| (desk.ever >= count).then_some(()));
    }

    /// Nobody ever had two connections at once, subscribed what was subscribed, or unsubscribed
    /// what was not.
    pub fn assert_tidy(&self) {
        self.look(|desk| {
            assert!(desk.most <= 1, "{} connections at once", desk.most);
            assert_eq!((&desk.doubled, &desk.unknown), (&Vec::new(), &Vec::new()), "subscribed or unsubscribed twice");
        });
    }

    // ---- what it does

    /// Changes how the provider behaves from now on.
    pub fn set(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.shared.desk.lock().expect("desk").provider);
    }

    /// Sends a value to whoever is subscribed to its topic; somebody must be.
    pub fn publish(&self, topic: &str, fields: Value) {
        self.publish_all(&[(topic, fields)]);
    }

    /// As `publish`; values go out together as the provider does it.
    pub fn publish_all(&self, values: &[(&str, Value)]) {
        assert!(self.try_publish(values) > 0, "nobody is subscribed to any of {values:?}");
    }

    /// How many connections the values concerned, maybe none: then they are lost.
    pub fn try_publish(&self, values: &[(&str, Value)]) -> usize {
        self.change(|desk| desk.publish(values))
    }

    /// Does this to each connection, e.g. what the provider does to some.
    pub fn each(&self, act: impl FnMut(&mut P, &mut Peer)) {
        self.change(|desk| desk.each(act));
    }

    /// Sends this frame to everybody.
    pub fn say(&self, frame: &Value) {
        self.say_text(&frame.to_string());
    }

    /// As `say`, whatever it is.
    pub fn say_text(&self, text: &str) {
        self.each(|_, peer| peer.say_text(text));
    }

    /// Sends a WebSocket ping to everybody.
    pub fn ping(&self, payload: &'static str) {
        self.change(|desk| {
            for link in desk.links.values_mut() {
                wire::send(&mut link.writer, Message::Ping(payload.into()));
            }
        });
    }

    pub fn close(&self, code: u16, reason: &str) {
        self.each(|_, peer| peer.close(code, reason));
    }

    /// Cuts every connection: no close frame.
    pub fn cut(&self) {
        self.change(Desk::cut);
    }

    /// The connections there are say nothing more, not even a pong; they are still read, and stay
    /// open.
    pub fn mute(&self) {
        self.change(|desk| desk.links.values().for_each(|link| link.wire.mute()));
    }

    /// As `mute`, and they are not read any more either.
    pub fn freeze(&self) {
        self.change(|desk| {
            for link in desk.links.values_mut() {
                link.wire.mute();
                link.frozen = true;
            }
        });
    }

    /// From now on handshakes are answered with this HTTP status.
    pub fn refuse(&self, status: u16) {
        self.change(|desk| desk.door = Door::Refusing(status));
    }

    /// From now on handshakes are not answered at all.
    pub fn answer_nobody(&self) {
        self.change(|desk| desk.door = Door::Silent);
    }

    /// Whoever comes is let in again; those who had no answer get a refusal.
    pub fn admit(&self) {
        self.change(|desk| desk.door = Door::Open);
    }

    /// Cuts every connection and refuses new ones as a machine does on which nothing listens.
    pub fn down(&mut self) {
        if let Some((listener, thread)) = self.listening.take() {
            SockRef::from(&listener).shutdown(Shutdown::Both).expect("it listened");
            thread.join().expect("the listener's thread");
        }
        self.change(|desk| {
            desk.life += 1;
            desk.cut();
        });
    }

    /// Listens, again at the same port after `down`.
    pub fn up(&mut self) {
        let listener = self.port.listen();
        let (mine, shared) = (listener.try_clone().expect("a handle"), self.shared.clone());
        let life = self.look(|desk| desk.life);
        let thread = std::thread::spawn(move || {
            for stream in mine.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream, life));
            }
        });
        self.listening = Some((listener, thread));
    }

    fn change<T>(&self, act: impl FnOnce(&mut Desk<P>) -> T) -> T {
        self.shared.change(act)
    }
}

impl<P: Provider> Drop for Fake<P> {
    fn drop(&mut self) {
        // A test that failed inside the lock has said so already.
        if !self.shared.desk.is_poisoned() {
            self.down();
        }
    }
}

impl<P: Provider> Shared<P> {
    fn change<T>(&self, act: impl FnOnce(&mut Desk<P>) -> T) -> T {
        let done = act(&mut self.desk.lock().expect("desk"));
        self.changed.notify_all();
        done
    }

    #[expect(clippy::result_large_err, reason = "tungstenite wants a whole answer as the error")]
    fn serve(&self, stream: TcpStream, life: u64) {
        let wire = Wire::new(stream);
        wire.set_read_timeout();
        let mut let_in = None;
        let accepted = tungstenite::accept_hdr(wire.clone(), |request: &Request, response: Response| {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            self.knock(target, life).map_err(refusal)?;
            let_in = Some(target.to_owned());
            Ok(response)
        });
        let socket = accepted.ok();
        match (socket, let_in) {
            (Some(socket), Some(target)) => self.talk(socket, &wire, &target, life),
            (None, Some(target)) => self.change(|desk| desk.withdraw(path(&target))),
            // What is no handshake, or was refused.
            _ => {}
        }
        wire.cut();
    }

    /// Whether the handshake is to be answered, and with what; waits as long as it is not.
    fn knock(&self, target: &str, life: u64) -> Result<(), u16> {
        let path = path(target);
        let mut desk = self.desk.lock().expect("desk");
        desk.attempts.push(Instant::now());
        desk.targets.push(target.to_owned());
        self.changed.notify_all();
        if desk.door == Door::Silent {
            let still = |desk: &mut Desk<P>| desk.door == Door::Silent && desk.life == life;
            drop(self.changed.wait_while(desk, still).expect("desk"));
            return Err(503);
        }
        let still_there = |desk: &mut Desk<P>| desk.same_path(path) > 0 && desk.life == life;
        desk = self.changed.wait_timeout_while(desk, OVERLAP, still_there).expect("desk").0;
        match desk.door {
            _ if desk.life != life => return Err(503),
            Door::Refusing(status) => return Err(status),
            Door::Open | Door::Silent => desk.provider.admit(target)?,
        }
        desk.let_in(path);
        Ok(())
    }

    /// Hears the client until its connection is over.
    fn talk(&self, mut socket: WebSocket<Wire>, wire: &Wire, target: &str, life: u64) {
        wire.clear_read_timeout();
        let Some(number) = self.change(|desk| desk.enter(target, wire, life)) else { return };
        let is_frozen = |desk: &mut Desk<P>| desk.links.get(&number).is_some_and(|link| link.frozen);
        loop {
            let message = socket.read();
            drop(self.changed.wait_while(self.desk.lock().expect("desk"), is_frozen).expect("desk"));
            match message {
                Ok(Message::Text(text)) => self.change(|desk| desk.hear(number, &text)),
                Ok(Message::Ping(_)) => self.change(|desk| desk.pings += 1),
                Ok(Message::Pong(_)) => self.change(|desk| desk.pongs += 1),
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    if !self.change(|desk| desk.ended(number, code)) {
                        break;
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    self.change(|desk| desk.ended(number, 1006));
                    break;
                }
            }
        }
    }
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn refusal(status: u16) -> ErrorResponse {
    let status = tungstenite::http::StatusCode::from_u16(status).expect("an HTTP status");
    tungstenite::http::Response::builder().status(status).body(None).expect("an answer")
}
