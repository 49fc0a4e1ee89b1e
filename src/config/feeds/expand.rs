//! Owns the expansion of `${NAME}` and `${NAME:-default}` in the values of hubs and proxies, with
//! the escapes that each place needs.

use crate::config::{secret::is_quoted, source::VariableSource};

/// What the text is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextContext {
    /// A header, a number, a name: as it is.
    Plain,
    /// A frame: escaped as within a JSON string.
    Frame,
    /// A frame with `{places}` for topics: braces are escaped as well.
    Template,
    /// A URL: as it is up to the end of the host, percent-encoded in path and query.
    Url,
}

/// An expanded text.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub text: String,
    /// Variables that the text names, in order.
    pub used: Vec<String>,
    /// Those among them that are unset and have no default.
    pub missing: Vec<String>,
    /// Those whose value cannot be used, and why.
    pub bad: Vec<(String, &'static str)>,
}

/// `$${` is a `${` that is no variable. The error says what is wrong, without the text.
pub(super) fn expand(text: &str, place: TextContext, source: &dyn VariableSource) -> Result<Expanded, &'static str> {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.text.push_str(before);
            expanded.text.push_str("${");
            rest = after;
            continue;
        }
        expanded.text.push_str(before);
        let (inner, after) = after.split_once('}').ok_or("has a `${` without `}`")?;
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        if !is_variable(name) {
            return Err("has a `${` that is neither ${NAME} nor ${NAME:-default}; write $${ for the text itself");
        }
        // An empty variable counts as unset, as everywhere in the settings.
        let value = source.get(name).filter(|value| !value.trim().is_empty());
        if let Some(wrong) = value.as_deref().and_then(wrong_with) {
            expanded.bad.push((name.to_owned(), wrong));
        }
        expanded.used.push(name.to_owned());
        match value.as_deref().or(default) {
            Some(value) => append(&mut expanded.text, value, place, after),
            None => expanded.missing.push(name.to_owned()),
        }
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// White space around a value is a problem and is not trimmed: it shows that the pasted text is not
/// the value.
fn wrong_with(value: &str) -> Option<&'static str> {
    if value.trim() != value {
        Some("has white space around it; remove it")
    } else if value.contains('\u{FFFD}') {
        // `ProcessEnv` puts U+FFFD in place of bytes that are not UTF-8.
        Some("is not UTF-8; write it in UTF-8")
    } else if value.contains(char::is_control) {
        Some("has a control character in it; remove it")
    } else if is_quoted(value) {
        Some("stands in literal quotes; remove them")
    } else {
        None
    }
}

fn append(text: &mut String, value: &str, place: TextContext, after: &str) {
    match place {
        TextContext::Plain => text.push_str(value),
        TextContext::Frame => text.push_str(&json_escaped(value)),
        TextContext::Template => text.push_str(&json_escaped(value).replace('{', "\\u007b").replace('}', "\\u007d")),
        TextContext::Url if is_before_path(text) => {
            // So that a base URL may end with a slash or not.
            text.push_str(if after.starts_with('/') { value.trim_end_matches('/') } else { value });
        }
        TextContext::Url => text.extend(value.bytes().map(percent_encoded)),
    }
}

/// `value` as it stands between the quotes of a JSON string.
fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns true if neither path nor query has begun. `url` is the part of a URL before a variable,
/// which no parser of URLs takes.
pub(super) fn is_before_path(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    !rest.contains(['/', '?', '#'])
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn expanded(text: &str, place: TextContext, env: &[(&str, &str)]) -> Result<Expanded, &'static str> {
        let source: HashMap<&str, &str> = env.iter().copied().collect();
        expand(text, place, &source)
    }

    fn text(text: &str, place: TextContext, env: &[(&str, &str)]) -> String {
        expanded(text, place, env).unwrap().text
    }

    #[test]
    fn a_variable_is_written_as_its_place_needs_it() {
        let env = [("KEY", r#"a"b\c{d}/é &"#)];
        assert_eq!(text("Bearer ${KEY}!", TextContext::Plain, &env), r#"Bearer a"b\c{d}/é &!"#);
        assert_eq!(text(r#"{"k":"${KEY}"}"#, TextContext::Frame, &env), r#"{"k":"a\"b\\c{d}/é &"}"#);
        assert_eq!(text(r#"{"k":"${KEY}"}"#, TextContext::Template, &env), r#"{"k":"a\"b\\c\u007bd\u007d/é &"}"#);
        assert_eq!(
            text("wss://h/p?k=${KEY}&x", TextContext::Url, &env),
            "wss://h/p?k=a%22b%5Cc%7Bd%7D%2F%C3%A9%20%26&x"
        );
    }

    #[test]
    fn a_url_may_begin_with_a_variable_and_its_last_slash_is_not_doubled() {
        let url = "${BASE:-wss://host.example:9443}/stream?k=${KEY:-a b}";
        assert_eq!(text(url, TextContext::Url, &[]), "wss://host.example:9443/stream?k=a%20b");
        assert_eq!(text(url, TextContext::Url, &[("BASE", "ws://[::1]:1/")]), "ws://[::1]:1/stream?k=a%20b");
        assert_eq!(text(url, TextContext::Url, &[("BASE", "wss://h/v2"), ("KEY", "")]), "wss://h/v2/stream?k=a%20b");
        assert_eq!(text("wss://${HOST}/x", TextContext::Url, &[("HOST", "h:1")]), "wss://h:1/x");
    }

    #[test]
    fn what_is_unset_without_a_default_is_missing_and_an_empty_default_is_one() {
        let found = expanded("${A}-${B:-}-${C:-c:-d}-${A}", TextContext::Plain, &[("A", " ")]).unwrap();
        assert_eq!((found.text.as_str(), found.missing), ("--c:-d-", vec!["A".to_owned(), "A".to_owned()]));
        assert_eq!(found.used, ["A", "B", "C", "A"]);
    }

    #[test]
    fn a_dollar_alone_and_a_doubled_one_are_text() {
        assert_eq!(text("$A $ $$ a$${A}$", TextContext::Plain, &[("A", "x")]), "$A $ $$ a${A}$");
        for wrong in ["${", "${A", "${}", "${A B}", "${1A}", "${A:=b}", "${A-b}"] {
            assert!(expanded(wrong, TextContext::Plain, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_that_was_pasted_wrong_is_told_apart() {
        for (value, wrong) in [
            ("key\n", "white space"),
            (" key", "white space"),
            ("k\u{7}y", "control"),
            ("\u{FFFD}", "UTF-8"),
            ("\"key\"", "quotes"),
            ("'key'", "quotes"),
        ] {
            let found = expanded("${KEY}", TextContext::Plain, &[("KEY", value)]).unwrap();
            assert!(found.bad[0].0 == "KEY" && found.bad[0].1.contains(wrong), "{value:?}");
        }
    }
}
