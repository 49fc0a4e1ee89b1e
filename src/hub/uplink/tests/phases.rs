//! Owns the tests of the phases of a connection: states, attempts, timeouts, heartbeats, staleness.

use super::{Note, Rig, feeds::*, topic};
use crate::{
    config::{Secret, feeds::FeedHeartbeat},
    protocol::FeedState,
};

#[test]
fn h3_every_change_is_told_once_with_its_moment_and_its_attempts() {
    let mut rig = Rig::dialling(plain(), &["a"]);
    assert!(rig.active(true).is_empty(), "somebody was there already");
    rig.after(10);
    assert_eq!(rig.fail(), ["down 1"]);
    let down = rig.uplink.status();
    assert_eq!((down.since, down.attempt, down.fatal), (super::START + 10, 1, false));
    assert_eq!(rig.reconnect(), ["connecting 1", "live 1", "+a"]);
    assert_eq!(rig.lose(None), ["down 2"]);
    assert!(rig.lose(None).is_empty() && rig.fail().is_empty() && rig.open().is_empty(), "that connection is gone");
    assert!(rig.receive(r#"{"topic":"a","data":1}"#).is_empty());
    assert_eq!(rig.reconnect(), ["connecting 2", "live 2", "+a"]);
    assert_eq!(rig.active(false), ["disconnect 1000", "disconnected 0"]);
    assert!(rig.active(false).is_empty());
    assert_eq!(rig.uplink.next_deadline(), None, "nothing is due while nobody is there");
}

#[test]
fn h5_attempts_are_forgotten_after_a_stable_period_and_not_before() {
    let mut rig = Rig::live(plain(), &[]);
    rig.lose(None);
    rig.reconnect();
    rig.run(59_999);
    assert_eq!(rig.uplink.status().attempt, 1);
    rig.run(1);
    assert_eq!((rig.uplink.status().attempt, rig.state()), (0, FeedState::Live));
    assert_eq!(rig.lose(None), ["down 1"]);
}

#[test]
fn h5_a_client_that_comes_and_goes_does_not_shorten_any_pause() {
    let mut rig = Rig::live(plain(), &["a"]);
    assert_eq!(rig.lose(Some(1008)), ["down 1"], "a close code that means too many connections");
    assert!(rig.notes.iter().any(|note| matches!(note, Note::CoolDown { .. })));
    for _ in 0..8 {
        assert_eq!(rig.active(false), ["disconnected 0"], "there is no connection to close");
        rig.run(5_000);
        assert_eq!(rig.active(true), ["down 1"]);
        rig.run(5_000);
    }
    assert!(rig.run(9_999).is_empty());
    assert_eq!(rig.run(1), ["connecting 1", "connect"]);
    rig.active(false);
    rig.run(60_000);
    assert_eq!(rig.active(true), ["connecting 0", "connect"], "failures of long ago do not count");
}

#[test]
fn h5_another_close_code_is_a_loss_like_any_other() {
    let mut rig = Rig::live(plain(), &["a"]);
    rig.lose(Some(1011));
    let pause = rig.uplink.next_deadline().expect("an end") - rig.now.instant;
    assert!(pause <= ms(500), "{pause:?}");
}

#[test]
fn h2_without_anybody_the_connection_is_closed_in_whatever_phase_it_is() {
    let mut rig = Rig::dialling(massive(), &["T.A"]);
    assert_eq!(rig.active(false), ["disconnect 1000", "disconnected 0"]);
    assert!(rig.open().is_empty());
    assert_eq!(rig.active(true), ["connecting 0", "connect"]);
    rig.open();
    assert_eq!(rig.active(false), ["disconnect 1000", "disconnected 0"]);
    rig.active(true);
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"}]"#);
    assert_eq!(rig.active(false), ["disconnect 1000", "disconnected 0"]);
    assert_eq!(rig.uplink.upstream_topics(), 0);
}

#[test]
fn h5_an_upstream_that_does_not_greet_or_does_not_answer_the_key_is_given_up() {
    let mut rig = Rig::dialling(massive(), &["T.A"]);
    rig.open();
    assert!(rig.run(4_999).is_empty());
    rig.receive(r#"[{"ev":"T","sym":"A"}]"#);
    assert_eq!(rig.run(1)[..2], ["disconnect 1002", "down 1"], "and no data is put out before it is live");
    rig.run(60_000);
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"}]"#);
    assert!(rig.run(9_999).is_empty());
    assert_eq!(rig.run(1)[0], "disconnect 1002");
}

#[test]
fn a_key_that_is_not_answered_is_followed_by_the_subscriptions() {
    let mut feed = massive();
    feed.on_open.push(Secret::new("hello"));
    feed.ready.clear();
    feed.auth.as_mut().expect("an exchange").success.clear();
    let mut rig = Rig::dialling(feed, &["T.A"]);
    let words = rig.open();
    assert_eq!(words[0], "hello");
    assert!(words[1].contains("auth") && words[2] == "live 0" && words[3].contains("subscribe"), "{words:?}");
}

#[test]
fn h3_a_silent_feed_is_stale_and_one_that_speaks_again_is_live_before_its_data() {
    let mut rig = Rig::live(plain(), &["a"]);
    assert!(rig.run(4_999).is_empty());
    rig.receive(r#"{"ignore":1}"#);
    assert!(rig.run(4_999).is_empty(), "whatever it says, it speaks");
    assert_eq!(rig.run(1), ["stale 0"]);
    assert!(rig.run(100_000).is_empty(), "once");
    rig.uplink.ponged();
    assert_eq!(rig.state(), FeedState::Stale, "a pong says nothing of the feed");
    assert_eq!(rig.receive(r#"{"topic":"a","data":1}"#), ["live 0", "a = 1"]);
    assert_eq!(rig.uplink.last_message(), Some(rig.now.instant));
}

#[test]
fn h3_silence_counts_only_while_something_is_subscribed() {
    let mut rig = Rig::live(plain(), &[]);
    assert!(rig.run(60_000).is_empty());
    rig.want("a");
    assert_eq!(rig.run(4_999), ["+a"]);
    assert_eq!(rig.run(1), ["stale 0"], "from the subscription on");
    rig.unwant("a");
    assert_eq!(rig.settle(), ["-a", "live 0"]);
    rig.want("b");
    assert_eq!(rig.run(4_999), ["+b"]);
    assert_eq!(rig.run(1), ["stale 0"]);
}

#[test]
fn h5_a_heartbeat_that_is_not_answered_ends_the_connection() {
    let mut rig = Rig::live(binance(), &[]);
    assert_eq!(rig.run(20_000), ["ping"]);
    assert!(rig.run(9_999).is_empty());
    rig.uplink.ponged();
    assert_eq!(rig.run(10_001), ["ping"], "and the next is not early");
    rig.receive(r#"{"id":1,"result":null}"#);
    assert_eq!(rig.run(20_000), ["ping"], "any frame answers where nothing else is expected");
    assert_eq!(rig.run(10_000)[..2], ["disconnect 1002", "down 1"]);
}

#[test]
fn h5_where_an_answer_is_described_only_that_answers() {
    let mut feed = plain();
    feed.heartbeat = Some(FeedHeartbeat {
        interval: ms(1000),
        timeout: ms(3000),
        send: Some(Secret::new("are you there")),
        expect: vec![matcher(&[("/pong", "*")])],
    });
    let mut rig = Rig::live(feed, &["a"]);
    assert_eq!(rig.run(1000), ["are you there"]);
    rig.receive(r#"{"pong":1}"#);
    assert_eq!(rig.run(3000).len(), 3);
    rig.receive(r#"{"topic":"a","data":1}"#);
    rig.uplink.ponged();
    assert_eq!(rig.run(1000)[..2], ["disconnect 1002", "down 1"], "three seconds after the first one unanswered");
}

#[test]
fn a_late_timer_asks_once() {
    let mut rig = Rig::live(binance(), &[]);
    assert_eq!(rig.after(95_000), ["ping"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_noted_at_most_once_a_minute() {
    let mut rig = Rig::live(plain(), &["a"]);
    let deep = format!(r#"{{"topic":"a","data":{}{}}}"#, "[".repeat(126), "]".repeat(126));
    for bad in ["", "{", "nonsense", "{\"topic\":\"a\",\"data\":1} 2", "\u{0}", &deep] {
        assert!(rig.receive(bad).is_empty(), "{bad}");
    }
    assert_eq!(rig.uplink.counts().unreadable, 6);
    let noted = |rig: &Rig| -> Vec<u64> {
        rig.notes
            .iter()
            .filter_map(|note| if let Note::Unreadable { frames, .. } = note { Some(*frames) } else { None })
            .collect()
    };
    assert_eq!(noted(&rig), [1]);
    rig.run(60_000);
    rig.receive("{");
    assert_eq!(noted(&rig), [1, 6]);
    let deepest = format!(r#"{{"topic":"a","data":{}{}}}"#, "[".repeat(125), "]".repeat(125));
    assert_eq!(rig.receive(&deepest).len(), 1, "one level less is fine");
    assert!(rig.receive(r#"7"#).is_empty() && rig.receive(r#"{"topic":null,"data":1}"#).is_empty());
    assert!(rig.receive(r#"{"topic":"a"}"#).is_empty() && rig.receive(r#"{"topic":["a"],"data":1}"#).is_empty());
    assert_eq!((rig.uplink.counts().unknown, rig.uplink.counts().unreadable), (4, 7));
}

#[test]
fn h5_what_means_that_the_key_is_wrong_is_fatal_at_any_time() {
    let mut rig = Rig::live(plain(), &["a"]);
    assert_eq!(rig.receive(r#"{"fatal":"subscription ended"}"#), ["disconnect 1000", "down 1"]);
    assert!(rig.uplink.status().fatal);
    rig.active(false);
    rig.run(599_999);
    assert_eq!(rig.active(true), ["down 1"], "and stays so when the client comes back");
    assert!(rig.uplink.status().fatal && rig.uplink.can_ask(&topic("a")));
}
