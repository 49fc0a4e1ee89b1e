//! Owns the tests of the fakes themselves, against another library's client: that they record what
//! they receive, and obey commands.

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

use super::{Alpaca, Binance, Eviction, Fake, Finnhub, Kraken, Massive, Provider};
use crate::support::PATIENCE;

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

fn dial<P: Provider>(fake: &Fake<P>, path: &str) -> Socket {
    let (socket, _) = tungstenite::connect(fake.url(path)).expect("it lets us in");
    let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("no TLS here") };
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

fn say(socket: &mut Socket, frame: Value) {
    socket.send(Message::text(frame.to_string())).expect("send");
}

fn hear(socket: &mut Socket) -> Value {
    match socket.read().expect("a message") {
        Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

/// Authenticated, and subscribed to these.
fn customer(fake: &Fake<Massive>, topics: &str) -> Socket {
    let mut socket = dial(fake, "/options");
    assert_eq!(
        hear(&mut socket),
        json!([{"ev": "status", "status": "connected", "message": "Connected Successfully"}])
    );
    say(&mut socket, json!({"action": "auth", "params": "right"}));
    assert_eq!(hear(&mut socket)[0]["status"], "auth_success");
    say(&mut socket, json!({"action": "subscribe", "params": topics}));
    let answer = hear(&mut socket);
    assert!(answer.as_array().expect("an array").iter().all(|event| event["status"] == "success"), "{answer}");
    socket
}

#[test]
fn the_fake_massive_keeps_subscriptions_and_notices_what_is_done_twice() {
    let fake = Fake::start(Massive::new("right"));
    fake.set(|massive| massive.unpaid = vec!["Q.".into()]);
    let mut socket = customer(&fake, "T.A,T.B,V.I:X");
    say(&mut socket, json!({"action": "unsubscribe", "params": "T.B"}));
    assert_eq!(hear(&mut socket)[0]["message"], "unsubscribed to: T.B");
    fake.wait_for_topics(&["T.A", "V.I:X"]);
    fake.publish_all(&[("T.A", json!({"p": 1})), ("T.B", json!({"p": 2})), ("V.I:X", json!({"val": 3}))]);
    assert_eq!(hear(&mut socket), json!([{"ev": "T", "sym": "A", "p": 1}, {"ev": "V", "T": "I:X", "val": 3}]));
    assert_eq!(fake.try_publish(&[("T.B", json!({}))]), 0);
    fake.assert_tidy();
    say(&mut socket, json!({"action": "subscribe", "params": "T.A,Q.A"}));
    assert_eq!(hear(&mut socket)[1]["status"], "error");
    say(&mut socket, json!({"action": "unsubscribe", "params": "T.C"}));
    hear(&mut socket);
    fake.look(|desk| assert_eq!((&desk.doubled[..], &desk.unknown[..]), (&["T.A".into()][..], &["T.C".into()][..])));
    assert_eq!(fake.look(|desk| desk.frames.len()), 5);
}

#[test]
fn the_fake_massive_refuses_wrong_keys_and_evicts_newcomers_after_their_first_subscription() {
    let fake = Fake::start(Massive::new("right"));
    let mut wrong = dial(&fake, "/options");
    hear(&mut wrong);
    say(&mut wrong, json!({"action": "subscribe", "params": "T.A"}));
    assert_eq!(hear(&mut wrong)[0]["status"], "error");
    say(&mut wrong, json!({"action": "auth", "params": "wrong"}));
    assert_eq!(hear(&mut wrong)[0]["status"], "auth_failed");
    assert!(matches!(wrong.read(), Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1008));
    fake.set(|massive| massive.eviction = Eviction::Newcomer);
    let mut newcomer = customer(&fake, "T.A,T.B");
    assert_eq!(hear(&mut newcomer)[0]["status"], "max_connections");
    assert!(matches!(newcomer.read(), Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1008));
    fake.wait_for_connections(0);
    assert_eq!(fake.look(|desk| (desk.ever, desk.most)), (2, 1));
}

#[test]
fn a_fake_counts_connections_at_once_by_path_and_one_that_was_closed_before_does_not_count() {
    let fake = Fake::start(Massive::new("right"));
    for _ in 0..20 {
        let mut socket = dial(&fake, "/options");
        socket.close(None).expect("close");
        drop(socket);
    }
    drop(dial(&fake, "/options"));
    let _first = dial(&fake, "/options?a=1");
    let _other = dial(&fake, "/indices");
    fake.wait_for_ever(23);
    assert_eq!(fake.look(|desk| desk.most), 1);
    let _second = dial(&fake, "/options?a=2");
    fake.wait_for_connections(3);
    assert_eq!(fake.look(|desk| desk.most), 2);
    fake.wait("the ends", |desk| (desk.closes.len() == 21).then_some(()));
    fake.look(|desk| assert_eq!(desk.closes.iter().filter(|code| **code == 1006).count(), 1, "{:?}", desk.closes));
}

#[test]
fn a_fake_goes_down_and_comes_up_at_the_same_port() {
    let mut fake = Fake::start(Massive::new("right"));
    let url = fake.url("/options");
    for round in 1..=5 {
        let mut socket = customer(&fake, "T.A");
        fake.down();
        assert!(socket.read().is_err());
        let port = url.split([':', '/']).nth(4).expect("a port").parse::<u16>().expect("a number");
        let refused = TcpStream::connect(("127.0.0.1", port)).expect_err("nothing listens");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        fake.up();
        assert_eq!(fake.url("/options"), url);
        assert_eq!(fake.look(|desk| (desk.ever, desk.now())), (round, 0));
    }
}

#[test]
fn a_fake_falls_silent_and_deaf_with_the_socket_open_and_refuses_as_it_is_told() {
    let fake = Fake::start(Massive::new("right"));
    let mut socket = customer(&fake, "T.A");
    fake.ping("are you there");
    assert!(matches!(socket.read(), Ok(Message::Ping(_))));
    socket.flush().expect("the pong");
    fake.wait("a pong", |desk| (desk.pongs == 1).then_some(()));
    fake.mute();
    say(&mut socket, json!({"action": "subscribe", "params": "T.B"}));
    fake.wait_for_topics(&["T.A", "T.B"]);
    fake.freeze();
    say(&mut socket, json!({"action": "subscribe", "params": "T.C"}));
    fake.publish("T.A", json!({"p": 1}));
    let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("no TLS here") };
    stream.set_nonblocking(true).expect("non-blocking");
    assert!(
        matches!(socket.read(), Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock)
    );
    assert_eq!(fake.look(|desk| desk.topics().len()), 2);
    fake.refuse(429);
    let Err(tungstenite::Error::Http(refused)) = tungstenite::connect(fake.url("/options")) else { panic!("let in") };
    assert_eq!(refused.status(), 429);
    fake.answer_nobody();
    let url = fake.url("/options");
    let waiting = std::thread::spawn(move || tungstenite::connect(url).is_err());
    fake.wait("the handshake", |desk| (desk.attempts.len() == 3).then_some(()));
    assert!(!waiting.is_finished());
    fake.admit();
    assert!(waiting.join().expect("the thread"), "who had no answer is refused");
    assert_eq!(fake.look(|desk| (desk.ever, desk.now())), (1, 1));
}

#[test]
fn the_fake_binance_acknowledges_by_id_and_wraps_what_it_sends() {
    let fake = Fake::start(Binance);
    assert!(
        matches!(tungstenite::connect(fake.url("/ws")), Err(tungstenite::Error::Http(answer)) if answer.status() == 404)
    );
    let mut socket = dial(&fake, "/stream");
    say(&mut socket, json!({"method": "SUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 7}));
    assert_eq!(hear(&mut socket), json!({"result": null, "id": 7}));
    say(&mut socket, json!({"method": "UNSUBSCRIBE", "params": ["b@trade"], "id": 8}));
    assert_eq!(hear(&mut socket)["id"], 8);
    fake.publish_all(&[("b@trade", json!({"p": 1})), ("a@trade", json!({"p": 2}))]);
    assert_eq!(hear(&mut socket), json!({"stream": "a@trade", "data": {"p": 2}}));
    for wrong in [json!({"method": "SUBSCRIBE", "params": ["a@trade"]}), json!({"method": "PING", "id": 1}), json!("{")]
    {
        say(&mut socket, wrong);
        assert!(hear(&mut socket)["error"]["code"].is_u64());
    }
    fake.assert_tidy();
}

#[test]
fn the_fake_alpaca_wants_key_and_secret_and_tells_all_subscriptions_after_each_change() {
    let fake = Fake::start(Alpaca { key: "k".into(), secret: "s".into(), limit: 30 });
    let mut socket = dial(&fake, "/v2/iex");
    assert_eq!(hear(&mut socket), json!([{"T": "success", "msg": "connected"}]));
    say(&mut socket, json!({"action": "subscribe", "trades": ["A"]}));
    assert_eq!(hear(&mut socket)[0]["code"], 401);
    say(&mut socket, json!({"action": "auth", "key": "k", "secret": "s"}));
    assert_eq!(hear(&mut socket), json!([{"T": "success", "msg": "authenticated"}]));
    say(&mut socket, json!({"action": "subscribe", "trades": ["A", "B"], "quotes": ["A"]}));
    hear(&mut socket);
    say(&mut socket, json!({"action": "unsubscribe", "trades": ["B"]}));
    assert_eq!(hear(&mut socket), json!([{"T": "subscription", "trades": ["A"], "quotes": ["A"], "bars": []}]));
    fake.publish_all(&[("trades.A", json!({"p": 1})), ("trades.B", json!({"p": 2})), ("quotes.A", json!({"bp": 3}))]);
    assert_eq!(hear(&mut socket), json!([{"T": "t", "S": "A", "p": 1}, {"T": "q", "S": "A", "bp": 3}]));
    let mut wrong = dial(&fake, "/v2/sip");
    hear(&mut wrong);
    say(&mut wrong, json!({"action": "auth", "key": "k", "secret": "wrong"}));
    assert_eq!(hear(&mut wrong)[0]["code"], 402);
    assert!(matches!(wrong.read(), Ok(Message::Close(_))));
}

#[test]
fn the_fake_finnhub_has_its_key_in_the_url_and_acknowledges_nothing() {
    let fake = Fake::start(Finnhub { key: "k".into(), ..Finnhub::default() });
    for target in ["/", "/?token=wrong", "/?key=k"] {
        assert!(
            matches!(tungstenite::connect(fake.url(target)), Err(tungstenite::Error::Http(answer)) if answer.status() == 401)
        );
    }
    let mut socket = dial(&fake, "/?token=k");
    say(&mut socket, json!({"type": "subscribe", "symbol": "A"}));
    fake.wait_for_topics(&["A"]);
    fake.publish_all(&[("A", json!({"p": 1})), ("A", json!({"p": 2})), ("B", json!({"p": 3}))]);
    assert_eq!(hear(&mut socket), json!({"type": "trade", "data": [{"s": "A", "p": 1}, {"s": "A", "p": 2}]}));
    say(&mut socket, json!({"type": "unsubscribe", "symbol": "B"}));
    fake.wait("a mistake", |desk| (desk.unknown == ["B"]).then_some(()));
}

#[test]
fn the_fake_kraken_answers_each_symbol_and_sends_a_snapshot_behind_it() {
    let fake = Fake::start(Kraken { unlisted: vec!["X".into()], ..Kraken::default() });
    let mut socket = dial(&fake, "/v2");
    assert_eq!(hear(&mut socket)["channel"], "status");
    say(
        &mut socket,
        json!({"method": "subscribe", "params": {"channel": "ticker", "symbol": ["A/B", "X", "C/D"]}, "req_id": 7}),
    );
    let answers: Vec<_> = (0..5).map(|_| hear(&mut socket)).collect();
    assert_eq!((&answers[0]["success"], &answers[0]["req_id"]), (&json!(true), &json!(7)));
    assert_eq!(answers[1], json!({"channel": "ticker", "type": "snapshot", "data": [{"symbol": "A/B", "last": 1.0}]}));
    let refusal = (&answers[2]["success"], &answers[2]["symbol"], &answers[2]["req_id"]);
    assert_eq!(refusal, (&json!(false), &json!("X"), &json!(7)));
    assert_eq!(answers[4]["data"][0]["symbol"], "C/D");
    fake.publish("ticker:A/B", json!({"last": 2.0}));
    assert_eq!(hear(&mut socket)["data"], json!([{"last": 2.0, "symbol": "A/B"}]));
    say(&mut socket, json!({"method": "ping"}));
    assert_eq!(hear(&mut socket)["method"], "pong");
    fake.assert_tidy();
}
