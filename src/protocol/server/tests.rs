//! Owns the tests of the server's frames: their exact texts.

use super::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("frames are text")
}

#[test]
fn hot_frames_are_exactly_what_the_contract_shows() {
    let data = RawJson::parse(r#"{"x": 1}"#).expect("json");
    assert_eq!(
        text(|out| write_message(out, 42, "alice", Some(7), &data)),
        r#"{"type":"message","seq":42,"from":"alice","id":7,"data":{"x": 1}}"#
    );
    assert_eq!(
        text(|out| write_patch(out, 43, "@server", None, &data)),
        r#"{"type":"patch","seq":43,"from":"@server","patch":{"x": 1}}"#
    );
    assert_eq!(
        text(|out| write_volatile(out, "alice", "a\"b", &data)),
        r#"{"type":"message","from":"alice","volatile":"a\"b","data":{"x": 1}}"#
    );
    let topic = Topic::parse("a\"b").expect("a name");
    assert_eq!(
        text(|out| write_data(out, &topic, 3, false, &data)),
        r#"{"type":"data","topic":"a\"b","seq":3,"data":{"x": 1}}"#
    );
    assert_eq!(
        text(|out| write_data(out, &topic, 3, true, &data)),
        r#"{"type":"data","topic":"a\"b","seq":3,"snapshot":true,"data":{"x": 1}}"#
    );
    assert_eq!(text(|out| write_pong(out, Some(&data), 5)), r#"{"type":"pong","nonce":{"x": 1},"time":5}"#);
}

#[test]
fn h1_a_subscriber_is_welcomed_and_told_what_it_has_subscribed() {
    let topics = [Topic::parse("a").expect("a name")];
    let heartbeat = HeartbeatTerms { interval_ms: 1, timeout_ms: 2 };
    let welcome = ServerFrame::HubWelcome { protocol: 1, hub: &HubId::server(), topics: &["a"], heartbeat };
    assert_eq!(
        text(|out| welcome.write(out)),
        r#"{"type":"welcome","protocol":1,"hub":"_server","topics":["a"],"heartbeat":{"interval_ms":1,"timeout_ms":2}}"#
    );
    assert_eq!(
        text(|out| ServerFrame::Subscribed { topics: &topics, feed: SubscribedFeed { state: FeedState::Live } }
            .write(out)),
        r#"{"type":"subscribed","topics":["a"],"feed":{"state":"live"}}"#
    );
    let published = ServerFrame::Published { id: 7, topic: &topics[0], seq: 3 };
    assert_eq!(text(|out| published.write(out)), r#"{"type":"published","id":7,"topic":"a","seq":3}"#);
}

#[test]
fn h3_h4_a_subscriber_is_told_of_the_feed_and_of_gaps_as_the_contract_shows() {
    for state in FeedState::ALL {
        let frame = ServerFrame::Feed { state, since: 1, attempt: 2 };
        let expected = format!(r#"{{"type":"feed","state":"{}","since":1,"attempt":2}}"#, state.name());
        assert_eq!(text(|out| frame.write(out)), expected);
    }
    let topic = Topic::parse("a\"b").expect("a name");
    assert_eq!(
        text(|out| ServerFrame::Gap { topics: &[&topic], from: 1, to: 2 }.write(out)),
        r#"{"type":"gap","topics":["a\"b"],"from":1,"to":2}"#
    );
}

#[test]
fn cold_frames_leave_out_what_they_do_not_have() {
    let player = PlayerId::parse("bob").expect("id");
    let frame = ServerFrame::Presence {
        seq: Some(4),
        player: Some(&player),
        status: Some(PresenceChange::Left),
        reason: Some(LeftReason::Timeout),
        players: None,
        count: None,
    };
    assert_eq!(
        text(|out| frame.write(out)),
        r#"{"type":"presence","seq":4,"player":"bob","status":"left","reason":"timeout"}"#
    );
    assert_eq!(text(|out| ServerFrame::Ack { id: 7, seq: Some(42) }.write(out)), r#"{"type":"ack","id":7,"seq":42}"#);
}
