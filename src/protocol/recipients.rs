//! Owns `to`, the list of a message's recipients (S1a), parsed name by name so that it never
//! exceeds its bound.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserializer as _,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::PlayerId;

/// The most distinct names in one list (S1a).
pub(crate) const MAX_RECIPIENTS: usize = 500;
pub(super) const RULE: &str = "to is a list of at most 500 player ids";

/// Returns the ids of a list, sorted and without duplicates, or `None` if it is not a list of at
/// most [`MAX_RECIPIENTS`] ids.
pub(super) fn recipients(raw: &RawValue) -> Option<Vec<PlayerId>> {
    serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Names).ok()
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<PlayerId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RULE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = list.next_element::<Name<'de>>()? {
            if names.contains(&*name.0) {
                continue;
            }
            if names.len() == MAX_RECIPIENTS {
                return Err(A::Error::custom(RULE));
            }
            names.insert(PlayerId::parse(&name.0).map_err(A::Error::custom)?);
        }
        Ok(names.into_iter().collect())
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<String>> {
        let raw: &RawValue = serde_json::from_str(text).expect("JSON");
        recipients(raw).map(|names| names.iter().map(PlayerId::to_string).collect())
    }

    #[test]
    fn s1a_a_list_has_each_name_once_and_at_most_500_of_them() {
        assert_eq!(names("[]"), Some(vec![]));
        assert_eq!(names(r#"["b","a","\u0062","a"]"#), Some(vec!["a".into(), "b".into()]));
        let list =
            |count: usize| format!("[{}]", (0..count).map(|n| format!("\"p{n}\"")).collect::<Vec<_>>().join(","));
        assert_eq!(names(&list(500)).map(|names| names.len()), Some(500));
        assert_eq!(names(&list(501)), None);
        let repeated = format!("[{}]", vec![r#""bob""#; 2000].join(","));
        assert_eq!(names(&repeated), Some(vec!["bob".into()]), "repeated names count once");
    }

    #[test]
    fn s1a_what_is_no_list_of_ids_is_none() {
        for text in ["{}", "7", r#""bob""#, "[7]", "[null]", r#"["../bob"]"#, r#"[["bob"]]"#, r#"["@server"]"#] {
            assert_eq!(names(text), None, "{text}");
        }
    }
}
