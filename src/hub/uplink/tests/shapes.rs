//! Owns the tests of the frames that the descriptions of five providers lead to, word by word.

use super::{Note, Rig, feeds::*};
use crate::{config::feeds::Template, protocol::FeedState};

#[test]
fn h2_massive_is_greeted_authenticated_subscribed_and_read() {
    let mut rig = Rig::dialling(massive_indices(), &["T.O:SPY251219C00650000", "Q.O:SPY251219C00650000", "V.I:SPX"]);
    assert!(rig.open().is_empty(), "it speaks first");
    let auth = format!(r#"{{"action":"auth","params":"{KEY}"}}"#);
    assert_eq!(rig.receive(r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#), [auth]);
    assert_eq!(rig.state(), FeedState::Connecting);
    let asked = r#"{"action":"subscribe","params":"T.O:SPY251219C00650000,Q.O:SPY251219C00650000,V.I:SPX"}"#;
    assert_eq!(
        rig.receive(r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#),
        ["live 0", asked]
    );
    assert_eq!(rig.uplink.upstream_topics(), 3);
    assert!(rig.receive(r#"[{"ev":"status","status":"success","message":"subscribed to: V.I:SPX"}]"#).is_empty());
    let frame = r#"[ {"ev":"T", "sym":"O:SPY251219C00650000","p":1.50,"t":1718000000000},
                     {"ev":"V","T":"I:SPX","val":5000.1e0},{"ev":"T","sym":"O:OTHER"},{"ev":"Q"}]"#;
    assert_eq!(
        rig.receive(frame),
        [
            r#"T.O:SPY251219C00650000 = {"ev":"T", "sym":"O:SPY251219C00650000","p":1.50,"t":1718000000000}"#,
            r#"V.I:SPX = {"ev":"V","T":"I:SPX","val":5000.1e0}"#
        ]
    );
    let counts = rig.uplink.counts();
    assert_eq!((counts.values, counts.unknown, counts.unreadable), (2, 1, 0));
    rig.unwant("Q.O:SPY251219C00650000");
    assert_eq!(rig.settle(), [r#"{"action":"unsubscribe","params":"Q.O:SPY251219C00650000"}"#]);
}

#[test]
fn h5_massive_says_too_many_connections_after_success_and_is_given_a_cool_down() {
    let mut rig = Rig::dialling(massive(), &["T.A"]);
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"}]"#);
    rig.receive(r#"[{"ev":"status","status":"auth_success"},{"ev":"T","sym":"A","p":1}]"#);
    assert_eq!(rig.state(), FeedState::Live);
    let evicted =
        r#"[{"ev":"T","sym":"A","p":2},{"ev":"status","status":"max_connections"},{"ev":"T","sym":"A","p":3}]"#;
    assert_eq!(rig.receive(evicted), [r#"T.A = {"ev":"T","sym":"A","p":2}"#, "disconnect 1000", "down 1"]);
    assert!(rig.run(89_999).is_empty(), "not a word before the cool-down is over");
    assert_eq!(rig.run(1), ["connecting 1", "connect"]);
}

#[test]
fn h5_a_key_that_massive_refuses_is_fatal_and_the_note_does_not_repeat_it() {
    let mut rig = Rig::dialling(massive(), &["T.A"]);
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"}]"#);
    let refusal = format!(r#"[{{"ev":"status","status":"auth_failed","message":"no such key: {KEY}"}}]"#);
    assert_eq!(rig.receive(&refusal), ["disconnect 1000", "down 1"]);
    assert!(rig.uplink.status().fatal);
    assert!(matches!(&rig.notes[..], [.., Note::Refused { .. }, Note::Retry { .. }]));
    assert!(rig.notes.iter().all(|note| !note.to_string().contains(KEY)), "{:?}", rig.notes);
    assert!(rig.run(599_999).is_empty());
    assert_eq!(rig.run(1), ["connecting 1", "connect"]);
    assert!(rig.uplink.status().fatal, "until it has been live");
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"},{"ev":"status","status":"auth_success"}]"#);
    assert!(!rig.uplink.status().fatal);
}

#[test]
fn h2_binance_gets_lists_with_numbers_at_its_pace_and_its_envelope_is_taken_off() {
    let mut rig = Rig::dialling(binance(), &["a@trade", "b@trade", "c@trade"]);
    assert_eq!(
        rig.open(),
        [
            "live 0",
            r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":1}"#,
            r#"{"method":"SUBSCRIBE","params":["c@trade"],"id":2}"#
        ]
    );
    assert!(rig.receive(r#"{"result":null,"id":1}"#).is_empty());
    assert_eq!(
        rig.receive(r#"{"stream":"a@trade","data":{"e":"trade","p":"0.0010","id":5}}"#),
        [r#"a@trade = {"e":"trade","p":"0.0010","id":5}"#]
    );
    rig.unwant("a@trade");
    rig.settle();
    rig.want("d@trade");
    rig.settle();
    rig.want("e@trade");
    assert!(rig.run(999).is_empty(), "four frames went in this second");
    assert_eq!(rig.run(1), [r#"{"method":"SUBSCRIBE","params":["e@trade"],"id":5}"#]);
    assert_eq!(rig.uplink.counts().unknown, 0);
}

#[test]
fn h4_binance_is_left_before_its_24_hours_without_a_pause_and_with_a_gap() {
    let mut rig = Rig::live(binance(), &["a@trade"]);
    for _ in 0..23 * 180 - 1 {
        rig.after(20_000);
        rig.receive(r#"{"stream":"a@trade","data":1}"#);
    }
    assert_eq!(rig.after(20_000), ["disconnect 1000", "connecting 0", "connect"]);
    rig.after(30);
    assert_eq!(rig.open(), ["live 0", r#"{"method":"SUBSCRIBE","params":["a@trade"],"id":2}"#]);
    let (from, to) = (23 * 3_600_000 - 20_000, 23 * 3_600_000 + 30);
    assert_eq!(
        rig.receive(r#"{"stream":"a@trade","data":2}"#),
        [format!("gap a@trade {from}..{to}"), "a@trade = 2".to_owned()]
    );
}

#[test]
fn h2_kraken_is_asked_channel_by_channel_and_its_frames_are_read_with_the_channel_around_the_items() {
    let mut rig = Rig::dialling(kraken(), &["ticker:BTC/USD", "trade:BTC/USD", "ticker:ETH/USD"]);
    assert_eq!(
        rig.open(),
        [
            "live 0",
            r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD","ETH/USD"]},"req_id":1}"#,
            r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":2}"#
        ]
    );
    for quiet in [
        r#"{"method":"subscribe","req_id":1,"success":true,"result":{"channel":"ticker","symbol":"BTC/USD"}}"#,
        r#"{"channel":"heartbeat"}"#,
        r#"{"method":"pong","time_in":"2024-06-10T06:13:20.000000Z"}"#,
        r#"{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}"#,
        r#"{"channel":"trade","type":"snapshot","data":[]}"#,
    ] {
        assert!(rig.receive(quiet).is_empty(), "{quiet}");
    }
    assert_eq!(
        rig.receive(r#"{"channel":"ticker","data":[{"symbol":"ETH/USD","bid":1.10},{"symbol":"BTC/USD","bid":2}]}"#),
        [r#"ticker:ETH/USD = {"symbol":"ETH/USD","bid":1.10}"#, r#"ticker:BTC/USD = {"symbol":"BTC/USD","bid":2}"#]
    );
    assert_eq!(rig.uplink.counts().unknown, 0);
}

#[test]
fn h2_alpaca_calls_its_kinds_by_letters_that_topics_do_not_have() {
    let mut rig = Rig::dialling(alpaca(), &["trades.AAPL", "quotes.AAPL", "trades.MSFT"]);
    rig.open();
    assert_eq!(
        rig.receive(r#"[{"T":"success","msg":"connected"}]"#),
        [format!(r#"{{"action":"auth","key":"PK","secret":"{KEY}"}}"#)]
    );
    assert_eq!(
        rig.receive(r#"[{"T":"success","msg":"authenticated"}]"#),
        ["live 0", r#"{"action":"subscribe","trades":["AAPL","MSFT"]}"#, r#"{"action":"subscribe","quotes":["AAPL"]}"#]
    );
    assert!(rig.receive(r#"[{"T":"subscription","trades":["AAPL"],"quotes":[]}]"#).is_empty());
    assert_eq!(
        rig.receive(r#"[{"T":"q","S":"AAPL","bp":1},{"T":"t","S":"MSFT","p":2},{"T":"b","S":"AAPL"}]"#),
        [r#"quotes.AAPL = {"T":"q","S":"AAPL","bp":1}"#, r#"trades.MSFT = {"T":"t","S":"MSFT","p":2}"#]
    );
    assert_eq!(rig.receive(r#"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#)[1], "down 1");
    assert!(rig.run(89_999).is_empty());
}

#[test]
fn h2_finnhub_takes_one_symbol_a_frame_and_tells_trades_in_lists() {
    let mut rig = Rig::dialling(finnhub(), &["AAPL", "BINANCE:BTCUSDT"]);
    assert_eq!(
        rig.open(),
        ["live 0", r#"{"type":"subscribe","symbol":"AAPL"}"#, r#"{"type":"subscribe","symbol":"BINANCE:BTCUSDT"}"#]
    );
    assert!(rig.receive(r#"{"type":"ping"}"#).is_empty());
    assert_eq!(
        rig.receive(r#"{"data":[{"p":1,"s":"AAPL"},{"p":2.0,"s":"AAPL"},{"p":3,"s":"X"}],"type":"trade"}"#),
        [r#"AAPL = {"p":1,"s":"AAPL"}"#, r#"AAPL = {"p":2.0,"s":"AAPL"}"#]
    );
    let refusal = format!(r#"{{"type":"error","msg":"Invalid API key","key":"{KEY}"}}"#);
    assert_eq!(rig.receive(&refusal), ["disconnect 1000", "down 1"]);
    assert!(rig.notes.iter().all(|note| !note.to_string().contains(KEY)), "{:?}", rig.notes);
}

#[test]
fn a12_what_is_logged_of_an_upstream_is_short_and_has_no_key_wherever_the_key_was_given() {
    let mut feed = plain();
    feed.endpoint.headers.push(("Authorization".into(), crate::config::Secret::new("Bearer header-key")));
    feed.endpoint.url = crate::config::Secret::new("wss://feed.test/?token=query-key&v=2");
    feed.on_open.push(crate::config::Secret::new("opaque-frame"));
    feed.subscribe = Some(Template(r#"{"subscribe":"{topics}","key":"template-key-0123"}"#.into()));
    let mut rig = Rig::live(feed, &[]);
    let long = "é".repeat(5000);
    rig.receive(&format!(
        r#"{{"seen":["header-key","query-key","opaque-frame","template-key-0123","subscribe"],"v":2,"text":"{long}"}}"#
    ));
    let Some(Note::Unknown { said, items: 1 }) = rig.notes.last() else { panic!("{:?}", rig.notes) };
    assert!(said.starts_with(r#"{"seen":["***","***","***","***","subscribe"],"v":2,"#), "{said}");
    assert_eq!(said.chars().count(), 200);
    rig.uplink.lost(Some(4000), "bad query-key", rig.now);
    rig.drain();
    assert!(rig.notes.contains(&Note::Lost { code: Some(4000), why: "bad ***".into() }));
}
