//! Owns the check of a client's messages: which of them the proxy passes on (X3).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    config::ProxyConfig,
    protocol::{FrameError, error_code},
};

/// Checks a text message.
///
/// # Errors
/// The error for the client; the connection stays open (P2).
pub(super) fn text(text: &str, config: &ProxyConfig) -> Result<(), FrameError> {
    let Some(allowed) = &config.allowed_types else { return Ok(()) };
    let kind = serde_json::from_str::<Typed<'_>>(text).ok().map(|Typed(kind)| kind);
    if kind.is_some_and(|kind| allowed.iter().any(|allowed| *allowed == kind)) {
        return Ok(());
    }
    Err(refuse(error_code::FORBIDDEN, "this proxy passes on only JSON objects whose type its configuration allows"))
}

/// Checks a binary message.
///
/// # Errors
/// As for [`text`].
pub(super) fn binary(config: &ProxyConfig) -> Result<(), FrameError> {
    if config.binary { Ok(()) } else { Err(refuse(error_code::UNSUPPORTED, "this proxy passes on text only")) }
}

fn refuse(code: &'static str, message: &'static str) -> FrameError {
    FrameError { code, message, id: None }
}

/// The `type` of a JSON object. The whole text is parsed, since upstreams differ on text that is
/// not quite JSON, and on a field that comes twice. Some do not even distinguish `Type` from `type`
/// (Go's `encoding/json`).
struct Typed<'a>(Cow<'a, str>);

#[derive(Deserialize)]
struct FilterText<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Typed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TypedVisitor)
    }
}

struct TypedVisitor;

impl<'de> Visitor<'de> for TypedVisitor {
    type Value = Typed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kind = None;
        while let Some(FilterText(name)) = map.next_key()? {
            if !name.eq_ignore_ascii_case("type") {
                map.next_value::<IgnoredAny>()?;
            } else if name == "type" && kind.is_none() {
                let FilterText(value) = map.next_value()?;
                kind = Some(value);
            } else {
                return Err(A::Error::custom("two types"));
            }
        }
        kind.map(Typed).ok_or_else(|| A::Error::missing_field("type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tests::config;

    #[test]
    fn x3_only_objects_of_an_allowed_type_pass() {
        let config = ProxyConfig { allowed_types: Some(vec!["response.create".into(), "a\"b".into()]), ..config() };
        for allowed in [
            r#"{"type":"response.create"}"#,
            r#" {"x":[{"type":"other"}],"type":"response.create","y":1} "#,
            r#"{"type":"response\u002ecreate"}"#,
            r#"{"typ\u0065":"a\"b"}"#,
            r#"{"types":[],"type":"response.create"}"#,
        ] {
            assert!(text(allowed, &config).is_ok(), "{allowed}");
        }
        for refused in [
            r#"{"type":"session.update"}"#,
            r#"{"type":"response.create","type":"session.update"}"#,
            r#"{"type":"session.update","type":"response.create"}"#,
            r#"{"type":"response.create"} {"type":"session.update"}"#,
            r#"{"type":"response.create""#,
            r#"{"type":["response.create"]}"#,
            r#"[{"type":"response.create"}]"#,
            r#"["response.create"]"#,
            r#"{"Type":"response.create"}"#,
            r#"{"type":"response.create","Type":"session.update"}"#,
            r#"{"TYPE":"session.update","type":"response.create"}"#,
            r#""response.create""#,
            "{}",
            "",
        ] {
            let error = text(refused, &config).expect_err(refused);
            assert_eq!(error.code, "forbidden");
        }
    }

    #[test]
    fn x3_without_a_list_every_text_passes_and_binary_is_a_choice_of_its_own() {
        let config = ProxyConfig { allowed_types: None, binary: false, ..config() };
        assert!(text("not json", &config).is_ok());
        assert_eq!(binary(&config).expect_err("refused").code, "unsupported");
        assert!(binary(&ProxyConfig { binary: true, ..config }).is_ok());
    }
}
