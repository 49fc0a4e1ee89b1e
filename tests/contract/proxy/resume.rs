//! Owns the tests of clients that drop and come back to their upstream: nothing is lost, nothing
//! comes twice.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tungstenite::Message;

use super::{Peer, Upstream, serve, serve_described};
use crate::support::{Server, seed};

/// Sessions of one client, one after the other, in which it is cut at random.
struct Survivor<'a> {
    server: &'a Server,
    peer: Option<Peer>,
    way_back: String,
    /// Frames of the upstream so far.
    seen: u64,
    /// What was sent and is not known to be taken, oldest first.
    unsure: VecDeque<u64>,
    /// The number of the newest that was sent.
    sent: u64,
}

impl Survivor<'_> {
    fn send_next(&mut self) {
        self.sent += 1;
        self.unsure.push_back(self.sent);
        let peer = self.peer.as_mut().expect("connected");
        // What is lost with the connection is sent again.
        let _ = peer.socket.send(Message::text(self.sent.to_string()));
    }

    fn read_next(&mut self) {
        let text = self.peer.as_mut().expect("connected").text();
        self.seen += 1;
        assert_eq!(text, format!("down {}", self.seen));
    }

    fn cut_and_come_back(&mut self) {
        let old = self.peer.take().expect("connected");
        if fastrand::bool() {
            old.cut();
        } else {
            // The old socket still seems open: the new connection takes over.
            std::mem::forget(old);
        }
        let peer = Peer::enter(self.server, &self.way_back.replace("{}", &self.seen.to_string()));
        assert_eq!(peer.welcome["resume"], "continuous", "{}", peer.welcome);
        assert_eq!(peer.welcome["next"], self.seen + 1);
        let taken = peer.welcome["last_id"].as_u64().expect("a number");
        self.unsure.retain(|number| *number > taken);
        self.peer = Some(peer);
        for number in self.unsure.clone() {
            self.peer.as_mut().expect("connected").send(&number.to_string());
        }
    }
}

#[test]
fn r5_a_client_cut_at_random_in_the_middle_of_both_streams_loses_nothing_and_sees_nothing_twice() {
    fastrand::seed(seed());
    let upstream = Upstream::start();
    let more = [("SHARDS", "3"), ("MESSAGE_RATE", "100000"), ("MESSAGE_BURST", "100000")];
    let server = serve(&upstream, &more);
    let peer = Peer::enter(&server, "/proxy/openai");
    let way_back = peer.way_back(0).replace("seq=0", "seq={}");
    let mut leg = upstream.leg();
    let mut client =
        Survivor { server: &server, peer: Some(peer), way_back, seen: 0, unsure: VecDeque::new(), sent: 0 };
    let (mut down, mut up) = (0_u64, 0_u64);
    for _ in 0..60 {
        for _ in 0..fastrand::usize(..12) {
            down += 1;
            leg.send(&format!("down {down}"));
            client.send_next();
        }
        for _ in 0..fastrand::u64(..=down - client.seen) {
            client.read_next();
        }
        if fastrand::usize(..3) == 0 {
            client.cut_and_come_back();
        }
        // The upstream may lag behind, too.
        while up < client.sent && fastrand::usize(..5) > 0 {
            up += 1;
            assert_eq!(leg.text(), up.to_string());
        }
    }
    client.cut_and_come_back();
    while client.seen < down {
        client.read_next();
    }
    while up < client.sent {
        up += 1;
        assert_eq!(leg.text(), up.to_string());
    }
    leg.send("end");
    assert_eq!(client.peer.as_mut().expect("connected").text(), "end", "nothing came twice");
    assert!(upstream.is_alone(), "it is one upstream connection all the while");
}

#[test]
fn r5_without_a_seq_a_client_gets_what_came_while_it_was_away() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let mut client = Peer::enter(&server, "/proxy/openai");
    let mut leg = upstream.leg();
    leg.send("1");
    assert_eq!(client.text(), "1");
    let way_back = client.way_back(0).replace("&seq=0", "");
    client.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    leg.send("2");
    let mut back = Peer::enter(&server, &way_back);
    assert_eq!(back.text(), "2");
}

#[test]
fn s7_a_second_connection_with_the_secret_takes_over_and_the_old_one_is_closed_with_4000() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let mut old = Peer::enter(&server, "/proxy/openai");
    let mut leg = upstream.leg();
    leg.send("1");
    assert_eq!(old.text(), "1");
    let mut new = Peer::enter(&server, &old.way_back(1));
    assert_eq!(new.welcome["resume"], "continuous");
    assert_eq!(new.welcome["session"], old.welcome["session"]);
    assert_eq!(old.ended().0, 4000);
    leg.send("2");
    assert_eq!(new.text(), "2");
    new.send("from the new one");
    assert_eq!(leg.text(), "from the new one");
}

#[test]
fn r3_a_verdict_is_truthful_about_what_is_gone_and_about_what_never_was() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["resume_bytes: 4k"], &[]);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    for i in 1..=20 {
        leg.send(&format!("{i:0>1000}"));
        assert_eq!(client.text(), format!("{i:0>1000}"));
    }
    // Read by the client, so written: the next message tells the server, which then forgets the
    // oldest.
    leg.send("21");
    assert_eq!(client.text(), "21");
    let mut back = Peer::enter(&server, &client.way_back(3));
    let welcome = back.welcome.clone();
    assert_eq!((&welcome["resume"], &welcome["reason"]), (&"snapshot".into(), &"history_too_short".into()));
    let next = welcome["next"].as_u64().expect("a number");
    assert_eq!(welcome["lost"], serde_json::json!([4, next - 1]));
    assert!((19..=20).contains(&next), "half of 4 KiB is kept: {welcome}");
    for i in next..=20 {
        assert_eq!(back.text(), format!("{i:0>1000}"));
    }
    assert_eq!(back.text(), "21");

    let back = Peer::enter(&server, &client.way_back(22));
    assert_eq!((&back.welcome["resume"], &back.welcome["reason"]), (&"snapshot".into(), &"seq_ahead".into()));
    assert_eq!((&back.welcome["seq"], &back.welcome["next"]), (&21.into(), &22.into()));
    for wrong in ["/proxy/test?session=1.0&seq=2", "/proxy/test?session=x", "/proxy/test?session="] {
        let other = Peer::enter(&server, wrong);
        assert_eq!((&other.welcome["resume"], &other.welcome["seq"]), (&"reset".into(), &0.into()), "{wrong}");
        assert_ne!(other.welcome["session"], back.welcome["session"]);
        let _ = { other }.socket.close(None);
        upstream.leg();
        server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 1.0);
    }
}

#[test]
fn x4_after_resume_ms_the_upstream_is_closed_within_2_s_and_not_before() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["resume_ms: 1000"], &[]);
    let client = Peer::enter(&server, "/proxy/test");
    assert_eq!(client.welcome["resume_ms"], 1000);
    let mut leg = upstream.leg();
    let way_back = client.way_back(0);
    let since = Instant::now();
    client.cut();
    assert_eq!(leg.ended(), Some((1001, String::new())));
    let took = since.elapsed();
    // X4's 2 s behind it, and 5 s by which a slow machine may be late: the usual `resume_ms` is 10
    // s.
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?}");
    let back = Peer::enter(&server, &way_back);
    assert_eq!((&back.welcome["resume"], &back.welcome["reason"]), (&"reset".into(), &"session_expired".into()));
}

#[test]
fn x4_an_end_of_the_upstream_while_the_client_is_away_is_told_when_it_comes_back() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let client = Peer::enter(&server, "/proxy/openai");
    let mut leg = upstream.leg();
    let way_back = client.way_back(0);
    client.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    leg.send("last");
    leg.close(4321, "enough");
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"openai\"}", 0.0);
    let mut back = Peer::enter(&server, &way_back);
    assert_eq!(back.welcome["resume"], "continuous");
    assert_eq!(back.ended(), (4321, "enough".to_owned(), "last".to_owned()));
    assert!(upstream.is_alone());
}

#[test]
fn x2_what_comes_while_the_client_is_away_is_bounded_and_the_upstream_waits() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["resume_bytes: 64k"], &[]);
    let client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let way_back = client.way_back(0);
    client.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    leg.socket.get_ref().set_write_timeout(Some(Duration::from_millis(500))).expect("timeout");
    let mut sent = 0_u64;
    while leg.socket.send(Message::text(format!("{sent:0>50000}"))).is_ok() {
        sent += 1;
        assert!(sent < 1000, "there is no end to what is taken");
    }
    let writer = std::thread::spawn(move || while leg.socket.flush().is_err() {});
    let mut back = Peer::enter(&server, &way_back);
    for expected in 0..=sent {
        assert_eq!(back.text(), format!("{expected:0>50000}"));
    }
    writer.join().expect("written");
}

#[test]
fn x2_what_a_client_has_received_is_not_kept_for_it_and_its_pongs_are_no_frames_of_its_own() {
    let upstream = Upstream::start();
    let more = [("MESSAGE_RATE", "1"), ("MESSAGE_BURST", "4")];
    let (server, _file) = serve_described(&upstream, &["resume_bytes: 1m"], &more);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    for i in 1..=200 {
        leg.send(&format!("{i:0>10000}"));
        // Its library answers the pings in between, more of them than MESSAGE_BURST.
        assert_eq!(client.text(), format!("{i:0>10000}"));
    }
    client.socket.flush().expect("the last pong");
    let kept = || server.metric("innkeeper_proxy_history_bytes{proxy=\"test\"}");
    // An eighth, what was not asked for, and what the metric may be behind.
    let bound = f64::from((128 + 32 + 32) << 10);
    server.wait_until(|| (1.0..bound).contains(&kept()), "little is kept of 2 MB");

    let mut back = Peer::enter(&server, &client.way_back(193));
    assert_eq!(back.welcome["resume"], "continuous");
    for i in 194..=200 {
        assert_eq!(back.text(), format!("{i:0>10000}"));
    }
    let mut back = Peer::enter(&server, &client.way_back(0));
    let next = back.welcome["next"].as_u64().expect("a number");
    assert_eq!(
        (&back.welcome["resume"], &back.welcome["lost"]),
        (&"snapshot".into(), &serde_json::json!([1, next - 1]))
    );
    for i in next..=200 {
        assert_eq!(back.text(), format!("{i:0>10000}"));
    }
    back.socket.close(None).expect("closed");
    assert!(leg.ended().is_some());
    server.wait_until(|| kept() == 0.0, "nothing is kept for nobody");
}

#[test]
fn a12_a_sessions_secret_is_in_no_log_and_no_metric() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[("LOG_LEVEL", "debug")]);
    let client = Peer::enter(&server, "/proxy/openai");
    upstream.leg();
    let back = Peer::enter(&server, &client.way_back(0));
    drop(back);
    server.wait_for_metric("innkeeper_connections", 0.0);
    let secret = client.welcome["session"].as_str().expect("a session");
    let random = secret.split_once('.').expect("two parts").1;
    for text in [server.log_text(), server.get("/metrics").body] {
        assert!(!text.contains(random), "{text}");
    }
}
