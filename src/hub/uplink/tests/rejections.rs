//! Owns the tests of topics that the upstream rejects (H2): which are reported, and when they are
//! asked for again.

use super::{Note, Rig, feeds::*};
use crate::config::Secret;

/// A rejection in the format of Kraken.
fn no(symbol: &str, id: u64) -> String {
    format!(
        r#"{{"error":"Currency pair not supported {symbol}","method":"subscribe","req_id":{id},"success":false,"symbol":"{symbol}"}}"#
    )
}

#[test]
fn h2_a_rejected_topic_is_told_once_and_asked_for_again_by_who_begins_to_want_it_or_on_the_next_connection() {
    let mut rig = Rig::live(plain(), &["a", "b"]);
    let rejection = r#"{"rejected":"a"}"#;
    assert_eq!(rig.receive(rejection), [format!("rejected a: {rejection}")]);
    assert_eq!((rig.uplink.upstream_topics(), rig.uplink.counts().rejected), (1, 1));
    assert!(rig.receive(rejection).is_empty() && rig.run(1000).is_empty(), "it is not asked for any more");
    rig.want("a");
    assert_eq!(rig.settle(), ["+a"]);
    rig.want("a");
    assert!(rig.settle().is_empty());
    assert_eq!(rig.receive(rejection).len(), 1);
    rig.lose(None);
    assert!(rig.reconnect().contains(&"+a,b".to_owned()));
    let words = rig.receive(r#"{"topic":"b","data":1}"#);
    assert!(words[0].starts_with("gap b 1000.."), "nothing of a was missed: {words:?}");
}

#[test]
fn h2_a_rejection_of_what_nobody_wants_any_more_is_told_to_nobody_and_nothing_is_taken_back() {
    let mut rig = Rig::live(plain(), &["a", "b"]);
    rig.unwant("a");
    assert!(rig.receive(r#"{"rejected":"a"}"#).is_empty());
    assert!(rig.settle().is_empty(), "no unsubscription of what was never subscribed");
    rig.receive(r#"{"rejected":"b"}"#);
    rig.unwant("b");
    assert!(rig.settle().is_empty());
    assert_eq!(rig.uplink.upstream_topics(), 0);
}

#[test]
fn h2_kraken_says_which_pair_of_which_request_and_other_channels_of_it_go_on() {
    let mut rig = Rig::dialling(kraken(), &["ticker:BTC/USD", "ticker:X/USD", "trade:X/USD"]);
    assert_eq!(rig.open().len(), 3);
    assert!(rig.receive(&no("X/USD", 7)).is_empty() && rig.receive(&no("Y/USD", 1)).is_empty(), "nothing was asked so");
    assert_eq!(rig.receive(&no("X/USD", 1)), [format!("rejected ticker:X/USD: {}", no("X/USD", 1))]);
    assert_eq!(rig.uplink.upstream_topics(), 2);
    let words = rig.receive(r#"{"channel":"trade","data":[{"symbol":"X/USD","price":1}]}"#);
    assert_eq!(words, [r#"trade:X/USD = {"symbol":"X/USD","price":1}"#]);
    assert_eq!(rig.uplink.counts().unknown, 0);
}

#[test]
fn h2_finnhub_says_it_in_a_sentence_and_what_names_no_topic_is_passed_over() {
    let mut rig = Rig::dialling(finnhub(), &["OANDA:EUR_USD", "USD", "symbols"]);
    rig.open();
    rig.settle();
    let said = r#"{"msg":"Invalid symbol OANDA:EUR_USD","type":"error"}"#;
    assert_eq!(rig.receive(said), [format!("rejected OANDA:EUR_USD: {said}")]);
    for quiet in ["Invalid symbol X:USD", "Invalid symbol", ""] {
        assert!(rig.receive(&format!(r#"{{"msg":"{quiet}","type":"error"}}"#)).is_empty(), "{quiet}");
    }
    assert_eq!(rig.uplink.upstream_topics(), 2);
}

#[test]
fn h2_a_number_alone_means_all_that_was_asked_for_with_it() {
    let mut feed = kraken();
    feed.rejected.as_mut().expect("kraken's").name = None;
    let mut rig = Rig::dialling(feed, &["ticker:A/USD", "ticker:B/USD", "trade:A/USD"]);
    rig.open();
    let mut words = rig.receive(&no("", 1));
    words.sort();
    assert!(words.len() == 2 && words[0].starts_with("rejected ticker:A/USD"), "{words:?}");
}

#[test]
fn a12_what_the_upstream_says_of_a_topic_is_short_and_without_keys_and_logged_once_a_minute() {
    let mut feed = plain();
    feed.on_open = vec![Secret::new(format!(r#"{{"key":"{KEY}"}}"#))];
    let mut rig = Rig::live(feed, &["a", "b", "c"]);
    rig.notes.clear();
    for name in ["a", "b"] {
        let words = rig.receive(&format!(r#"{{"rejected":"{name}","key":"{KEY}","why":"{}"}}"#, "x".repeat(1000)));
        assert!(words[0].contains("***") && !words[0].contains(KEY) && words[0].len() < 250, "{words:?}");
    }
    let notes = |rig: &mut Rig| std::mem::take(&mut rig.notes).into_iter().filter(is_rejection).count();
    assert_eq!(notes(&mut rig), 1);
    rig.run(60_000);
    rig.receive(r#"{"rejected":"c"}"#);
    assert!(rig.notes.iter().any(|note| note.to_string().contains("rejected topics 2 times") && !note.is_trouble()));
}

fn is_rejection(note: &Note) -> bool {
    matches!(note, Note::Rejected { .. })
}
