//! Owns the tests of `scrub`: examples of every secret, and the property that no token survives.

use proptest::prelude::*;

use super::*;

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x";

#[test]
fn a12_secrets_are_removed_and_the_rest_stays() {
    for (text, expected) in [
        (format!("bad token {JWT}, sorry"), "bad token [scrubbed], sorry"),
        (format!("/ws/g/p?token={JWT}&seq=4"), "/ws/g/p?token=[scrubbed]&seq=4"),
        ("/ws/g/p?seq=4&session=abc.def#x".into(), "/ws/g/p?seq=4&session=[scrubbed]#x"),
        ("?Token=opaque next".into(), "?Token=[scrubbed] next"),
        ("Authorization: Bearer s3cret/+== end".into(), "Authorization: Bearer [scrubbed] end"),
        (format!("innkeeper.v1.json, bearer.{JWT}"), "innkeeper.v1.json, bearer.[scrubbed]"),
        ("realtime, openai-insecure-api-key.sk-1_2 x".into(), "realtime, openai-insecure-api-key.[scrubbed] x"),
        (r#"{"type":"auth","token":"x y","seq":1}"#.into(), r#"{"type":"auth","token":"[scrubbed]","seq":1}"#),
        (r#""{\"session\" : \"x\"}""#.into(), r#""{\"session\" : \"[scrubbed]\"}""#),
        ("postgres://me:pw@db:5432/x".into(), "postgres://[scrubbed]@db:5432/x"),
        (format!("alg none: {}", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."), "alg none: [scrubbed]"),
        ("cut off: eyJhbGciOiJub25lIn0.eyJzdW".into(), "cut off: [scrubbed]"),
        (format!("é{JWT}é"), "é[scrubbed]é"),
    ] {
        assert_eq!(scrub(&text), expected);
        assert_eq!(scrub(&scrub(&text)), expected, "scrubbing twice changes nothing");
    }
}

#[test]
fn text_without_secrets_is_borrowed() {
    for text in ["", "eyJ", "keyJam.txt", "sessions=5 tokens=3", "token expired", "https://a.b/c@d", "session: none"] {
        assert!(matches!(scrub(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn a_megabyte_of_beginnings_takes_linear_time() {
    let begun = std::time::Instant::now();
    for beginning in ["eyJ", "eyJ.", "token", "token ", "bearer ", "api-key.", "://", "session\\"] {
        let _ = scrub(&beginning.repeat((1 << 20) / beginning.len()));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// An independent reader: where does a JWT begin in the text?
fn find_jwt(text: &str) -> Option<usize> {
    text.match_indices("eyJ").map(|(at, _)| at).find(|at| {
        let token: String =
            text[*at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let parts: Vec<_> = token.split('.').collect();
        parts.len() >= 3 && !parts[1].is_empty()
    })
}

proptest! {
    #[test]
    fn a12_no_jwt_survives_whatever_surrounds_it(
        before in ".{0,30}", header in "[A-Za-z0-9_-]{0,40}", payload in "[A-Za-z0-9_-]{1,40}",
        signature in "[A-Za-z0-9_-]{0,40}", after in ".{0,30}",
    ) {
        let token = format!("eyJ{header}.{payload}.{signature}");
        let clean = scrub(&format!("{before}{token}{after}")).into_owned();
        prop_assert!(!clean.contains(&token), "{clean}");
        prop_assert_eq!(find_jwt(&clean), None, "{}", clean);
    }

    #[test]
    fn a12_no_jwt_survives_in_a_soup_of_fragments(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "eyJ", ".", "a", "token", "=", "&", "session", "Bearer ", "\"", ":", "://", "@", " ", "\\", "é", "\n", "-",
            ]), 0..40)
    ) {
        let clean = scrub(&parts.concat()).into_owned();
        prop_assert_eq!(find_jwt(&clean), None, "{}", clean);
        let again = scrub(&clean).into_owned();
        prop_assert_eq!(find_jwt(&again), None);
    }
}
