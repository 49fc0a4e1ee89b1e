//! Owns the cases of the Autobahn testsuite that apply to this server, by their numbers: framing,
//! fragmentation, UTF-8, closing, limits. All run through a proxy in front of an echoing upstream;
//! those whose messages need no echo also run in a room. Compression (12, 13) is never negotiated,
//! and the timings of section 9 belong into a benchmark.

mod cases;
mod utf8;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

use super::{Server, Upstream, serve_described};
use crate::support::RawSocket;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// Without FIN.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const CONTINUES: u8 = 0x00;
const CONTINUES_AND_ENDS: u8 = 0x80;

/// Bytes of a client, and what has to come back.
struct Case {
    /// As Autobahn numbers it.
    number: String,
    /// Written one after the other, each in segments of its own.
    writes: Vec<Vec<u8>>,
    /// Payloads of pongs, in order.
    pongs: Vec<Vec<u8>>,
    /// Messages that come back, in order: first byte and payload.
    echoes: Vec<(u8, Vec<u8>)>,
    /// The code with which the server closes; `None`: it keeps the connection, and the client
    /// closes it.
    close: Option<u16>,
}

impl Case {
    fn new(number: impl Into<String>, writes: Vec<Vec<u8>>) -> Self {
        Self { number: number.into(), writes, pongs: Vec::new(), echoes: Vec::new(), close: None }
    }

    fn pongs(mut self, payloads: &[&[u8]]) -> Self {
        self.pongs = payloads.iter().map(|payload| payload.to_vec()).collect();
        self
    }

    fn echoes(mut self, first: u8, payload: &[u8]) -> Self {
        self.echoes.push((first, payload.to_vec()));
        self
    }

    fn closes(mut self, code: u16) -> Self {
        self.close = Some(code);
        self
    }

    /// The same bytes, written one by one.
    fn byte_by_byte(mut self) -> Self {
        self.writes = self.writes.concat().chunks(1).map(<[u8]>::to_vec).collect();
        self
    }

    fn play(&self, mut socket: RawSocket) -> Result<(), String> {
        let number = &self.number;
        socket.0.set_nodelay(true).expect("nodelay");
        // A server that closes in the middle does not take the rest.
        let _ = self.writes.iter().all(|bytes| socket.try_write(bytes));
        let (mut pongs, mut echoes) = (Vec::new(), Vec::new());
        if self.close.is_none() {
            while pongs.len() < self.pongs.len() || echoes.len() < self.echoes.len() {
                match socket.next_frame() {
                    Some((PONG, payload)) => pongs.push(payload),
                    Some((first @ (TEXT | BINARY), payload)) => echoes.push((first, payload)),
                    other => return Err(format!("{number}: {other:?} after {} echoes", echoes.len())),
                }
            }
            socket.try_write(&RawSocket::frame(CLOSE, &1000_u16.to_be_bytes()));
        }
        let expected = self.close.unwrap_or(1000);
        let code = loop {
            match socket.next_frame() {
                Some((CLOSE, payload)) => {
                    break payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                }
                Some((PONG, payload)) => pongs.push(payload),
                // Our own word before a close frame.
                Some((TEXT, payload)) if is_error(&payload) => {}
                Some((first, payload)) => echoes.push((first, payload)),
                None => return Err(format!("{number}: ends without a close frame, {expected} expected")),
            }
        };
        if code != expected {
            return Err(format!("{number}: closes with {code}, {expected} expected"));
        }
        if pongs != self.pongs {
            return Err(format!("{number}: the pongs {pongs:?}, {:?} expected", self.pongs));
        }
        // What a client sent before its mistake may or may not come back.
        if self.close.is_none() && echoes != self.echoes {
            return Err(format!("{number}: other messages than expected come back"));
        }
        Ok(())
    }
}

fn is_error(payload: &[u8]) -> bool {
    serde_json::from_slice::<Value>(payload).is_ok_and(|frame| frame["type"] == "error")
}

/// Plays all cases, eight at a time, each on a connection that `enter` opens.
fn play(cases: &[Case], enter: impl Fn(usize) -> RawSocket + Sync) {
    let next = AtomicUsize::new(0);
    let play_some = || {
        let mut problems = Vec::new();
        while let Some((number, case)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            cases.get(number).map(|case| (number, case))
        } {
            problems.extend(case.play(enter(number)).err());
        }
        problems
    };
    let problems: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(play_some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(problems.is_empty(), "{} of {} cases: {problems:#?}", problems.len(), cases.len());
}

fn all_cases() -> Vec<Case> {
    let cases: Vec<_> = cases::all().chain(utf8::all()).collect();
    let mut numbers: Vec<_> = cases.iter().map(|case| &case.number).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), cases.len(), "each number once");
    cases
}

const BOUNDS: [(&str, &str); 5] = [
    ("MAX_MESSAGE_BYTES", "16m"),
    ("BYTE_RATE", "1024m"),
    ("BYTE_BURST", "1024m"),
    ("MESSAGE_RATE", "100000"),
    ("MESSAGE_BURST", "100000"),
];

#[test]
fn rfc_6455_autobahns_cases_pass_through_a_proxy_in_front_of_an_echo() {
    let upstream = Upstream::start();
    let keys =
        ["budget: { sessions_per_player: 1000, sessions: 1000 }", "resume_ms: 0", "max_client_message_bytes: 16m"];
    let (mut server, _file) = serve_described(&upstream, &keys, &BOUNDS);
    upstream.echo();
    play(&all_cases(), |_| server.raw().upgrade("/proxy/test"));
    assert!(server.is_alive());
}

#[test]
fn rfc_6455_autobahns_cases_without_an_echo_pass_in_a_room() {
    let mut server = Server::start(&BOUNDS);
    let cases: Vec<_> = all_cases().into_iter().filter(|case| case.echoes.is_empty()).collect();
    play(&cases, |number| {
        let mut socket = server.raw().upgrade(&format!("/ws/autobahn-{number}/client"));
        socket.until_type("welcome");
        socket
    });
    assert!(server.is_alive());
}
