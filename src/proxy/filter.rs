//! Owns the judgement of a client's messages: which of them the proxy passes on (X3).
//! Called by `line` with each message.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    config::ProxyConfig,
    protocol::{FrameError, error_code},
};

/// Judges a text message.
///
/// # Errors
/// What the client is told; the connection lives on (P2).
pub fn text(text: &str, config: &ProxyConfig) -> Result<(), FrameError> {
    let Some(allowed) = &config.allowed_types else { return Ok(()) };
    // Read as a whole: what an upstream makes of text that is not quite JSON, or of a field that comes twice, nobody knows.
    // An array would do for serde, too.
    let is_object = text.trim_ascii_start().starts_with('{');
    let kind = serde_json::from_str::<Typed<'_>>(text).ok().filter(|_| is_object).map(|typed| typed.kind);
    if kind.is_some_and(|kind| allowed.iter().any(|allowed| *allowed == kind)) {
        return Ok(());
    }
    Err(refuse(error_code::FORBIDDEN, "this proxy passes on only JSON objects whose type its configuration allows"))
}

/// Judges a binary message.
///
/// # Errors
/// As [`text`].
pub fn binary(config: &ProxyConfig) -> Result<(), FrameError> {
    if config.binary { Ok(()) } else { Err(refuse(error_code::UNSUPPORTED, "this proxy passes on text only")) }
}

fn refuse(code: &'static str, message: &'static str) -> FrameError {
    FrameError { code, message, id: None }
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
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
