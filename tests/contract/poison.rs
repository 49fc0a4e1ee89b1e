//! Owns the tests of N2: what common parsers refuse is refused at its sender, wherever the server
//! would pass it on.

use crate::support::Server;
use serde_json::{Value, json};

const OPERATOR: (&str, &str) = ("HTTP_API_SECRET", "0123456789abcdef0123456789abcdef");
const KEY: [(&str, &str); 1] = [("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];
const POISON: [&str; 5] = [r#""\ud83d""#, r#"{"\udc00":1}"#, "1e400", "[-1e999]", r#""\ude00\ud83d""#];

#[test]
fn n2_poison_of_a_player_is_refused_with_bad_json_and_reaches_nobody() {
    for poison in POISON {
        let server = Server::start(&[]);
        let mut alice = server.connect("/ws/g/alice").welcomed();
        let mut bob = server.connect("/ws/g/bob").welcomed();
        alice.drain();
        for frame in [
            format!(r#"{{"type":"send","id":1,"data":{poison}}}"#),
            format!(r#"{{"type":"send","volatile":"v","data":{poison}}}"#),
            format!(r#"{{"type":"patch","id":1,"patch":{{"a":{poison}}}}}"#),
            format!(r#"{{"type":"ping","nonce":{poison}}}"#),
        ] {
            alice.send_text(&frame);
            let error = alice.next();
            assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_json")), "{frame}");
        }
        assert_eq!(bob.drain(), Vec::<Value>::new());
        alice.send_text(r#"{"type":"send","id":1,"data":"\ud83d\ude00 1e400"}"#);
        assert_eq!(bob.until_type("message")["data"], "😀 1e400");
    }
}

#[test]
fn n2_poison_of_a_back_end_is_refused_with_bad_json() {
    let server = Server::start(&[OPERATOR, ("HUBS", "news=bus")]);
    for poison in POISON {
        for (path, body) in [
            ("/api/games/g/events", format!(r#"{{"data":{poison}}}"#)),
            ("/api/games/g/events", format!(r#"{{"patch":{{"a":{poison}}}}}"#)),
            ("/api/hubs/news/topics/t", format!(r#"{{"data":{poison}}}"#)),
        ] {
            let refused = server.request("POST", path, &KEY, Some(&body));
            assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("bad_json")), "{path} {body}");
        }
    }
}
