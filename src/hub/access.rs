//! Owns the access rules of a hub: which topics a token's role may subscribe to, and whether it may
//! publish; pure.

use crate::{
    config::feeds::{TopicAccess, TopicPattern},
    protocol::Topic,
};

/// Stands for every role that has no entry of its own.
const ANYBODY: &str = "*";

/// Returns the topic patterns of this role; those of `*` if the role is not listed, else none.
pub(super) fn patterns<'a>(access: &'a TopicAccess, role: &str) -> &'a [TopicPattern] {
    let of = |name: &str| access.subscribe.iter().find(|(listed, _)| listed == name);
    of(role).or_else(|| of(ANYBODY)).map_or(&[], |(_, patterns)| patterns)
}

pub(super) fn may_publish(access: &TopicAccess, role: &str) -> bool {
    access.publish.iter().any(|listed| listed == role)
}

pub(super) fn admits(patterns: &[TopicPattern], topic: &Topic) -> bool {
    patterns.iter().any(|pattern| fits(pattern.0.as_bytes(), topic.as_str().as_bytes()))
}

/// Returns true if `text` matches `pattern`, in which `*` matches any text, also none. The time is
/// at most proportional to the product of both lengths, whatever the pattern: clients choose the
/// text.
pub(super) fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // After the last star: the rest of the pattern, and how much of the text has been consumed when
    // it is tried.
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, read));
            }
            Some(byte) if *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((behind, taken)) = &mut star else { return false };
                *taken += 1;
                (at, read) = (*behind, *taken);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(subscribe: &[(&str, &[&str])], publish: &[&str]) -> TopicAccess {
        let pattern = |text: &&str| TopicPattern((*text).to_owned());
        TopicAccess {
            subscribe: subscribe
                .iter()
                .map(|(role, patterns)| ((*role).to_owned(), patterns.iter().map(pattern).collect()))
                .collect(),
            publish: publish.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    #[test]
    fn a_role_has_its_own_patterns_or_those_of_anybody_or_none() {
        let access = of(&[("player", &["T.*"]), ("*", &["*.news", "exact"])], &["desk"]);
        let admits = |access, role, topic| admits(patterns(access, role), &Topic::parse(topic).expect("a name"));
        for (role, topic, expected) in [
            ("player", "T.O:SPY", true),
            ("player", "T.", true),
            ("player", "Q.O:SPY", false),
            ("player", "a.news", false),
            ("desk", "a.news", true),
            ("desk", "exact", true),
            ("desk", "exactly", false),
        ] {
            assert_eq!(admits(&access, role, topic), expected, "{role} {topic}");
        }
        assert!(!admits(&of(&[("desk", &["*"])], &[]), "player", "a"));
        assert!(may_publish(&access, "desk") && !may_publish(&access, "player"));
        assert!(!may_publish(&of(&[], &[]), "player"));
    }

    /// The reference for `fits`: the shortest correct definition, exponential in time.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| plainly(rest, &text[taken..])),
            Some((byte, rest)) => text.split_first().is_some_and(|(first, text)| first == byte && plainly(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_its_stars_can_be_filled_to(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn a_hostile_topic_against_many_stars_is_answered_at_once() {
        let pattern = "a*".repeat(30) + "b";
        assert!(!fits(pattern.as_bytes(), "a".repeat(128).as_bytes()));
    }
}
