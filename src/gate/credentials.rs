//! Owns where an upgrade request carries a token or another value, and which subprotocol is echoed
//! (A11, A14, P3, R1). Values found here are secrets and must not be logged (A12).

use crate::protocol::{CREDENTIAL_SUBPROTOCOLS, SUBPROTOCOL};

/// The longest name that is echoed. A longer one may be a secret.
const MAX_ECHOED: usize = 64;

/// Returns the subprotocols of a request's header lines. Skips names that are not visible ASCII
/// (RFC 6455 section 4.1) without losing the others.
pub(crate) fn offered_subprotocols<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
        .filter_map(|name| std::str::from_utf8(name).ok())
        .collect()
}

/// Returns the token of a request, in the order of A11: `Authorization: Bearer`, a subprotocol,
/// `?token=`. An empty token is skipped. `subprotocols` are the offered names; `query` is the text
/// after `?`. At a proxy, the subprotocol in which OpenAI's SDKs put their key carries a token too
/// (A14).
pub(crate) fn find_token(
    authorization: Option<&str>,
    subprotocols: &[&str],
    query: Option<&str>,
    at_proxy: bool,
) -> Option<String> {
    let in_header = authorization.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let prefixes = if at_proxy { &CREDENTIAL_SUBPROTOCOLS[..] } else { &CREDENTIAL_SUBPROTOCOLS[..1] };
    let token_in = |name: &&str| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned);
    let is_some_text = |token: &String| !token.is_empty();
    let in_subprotocols = || subprotocols.iter().filter_map(token_in).find(is_some_text);
    let in_query = || query.and_then(|query| query_value(query, "token"));
    in_header.filter(is_some_text).or_else(in_subprotocols).or_else(|| in_query().filter(is_some_text))
}

/// Returns the subprotocol to echo: the server's if it is offered (P3), or at a proxy the first
/// that is not a credential (A14).
pub(crate) fn choose_subprotocol<'a>(offered: &[&'a str], at_proxy: bool) -> Option<&'a str> {
    let ours = offered.iter().find(|name| **name == SUBPROTOCOL);
    ours.or_else(|| offered.iter().find(|name| at_proxy && may_be_echoed(name))).copied()
}

fn may_be_echoed(name: &str) -> bool {
    let is_credential = CREDENTIAL_SUBPROTOCOLS
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(prefix)));
    // A `token` of RFC 9110, section 5.6.2.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    name.len() <= MAX_ECHOED && is_name && !is_credential
}

/// Returns the first value of a key in a query, decoded as browsers encode it (`%XX`, `+` for a
/// space).
pub(crate) fn query_value(query: &str, key: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(authorization: Option<&str>, subprotocols: &[&str], query: Option<&str>) -> Option<String> {
        find_token(authorization, subprotocols, query, false)
    }

    #[test]
    fn a11_the_token_comes_from_header_then_subprotocol_then_query() {
        let (header, offered, query) = (Some("Bearer h.h.h"), &[SUBPROTOCOL, "bearer.s.s.s"][..], Some("token=q.q.q"));
        assert_eq!(found(header, offered, query).as_deref(), Some("h.h.h"));
        assert_eq!(found(None, offered, query).as_deref(), Some("s.s.s"));
        assert_eq!(found(None, &[SUBPROTOCOL], query).as_deref(), Some("q.q.q"));
        assert_eq!(found(None, &[], None), None);
    }

    #[test]
    fn a11_another_scheme_or_an_empty_token_is_passed_over() {
        for header in ["Basic dXNlcjpwdw==", "Bearer", "Bearer ", "", "Bearerx y"] {
            assert_eq!(found(Some(header), &["bearer."], Some("token=q")).as_deref(), Some("q"), "{header}");
        }
        assert_eq!(found(None, &[], Some("token=")), None);
        assert_eq!(found(Some("bEARER  h"), &[], None).as_deref(), Some("h"), "schemes have no case (RFC 9110)");
    }

    #[test]
    fn a11_query_values_are_decoded() {
        assert_eq!(query_value("a=1&token=a%2Eb%2ec&token=second", "token").as_deref(), Some("a.b.c"));
        assert_eq!(query_value("session=a+b%2B", "session").as_deref(), Some("a b+"));
        assert_eq!(query_value("xtoken=1&token2=2", "token"), None);
        assert_eq!(query_value("token", "token").as_deref(), Some(""));
        assert_eq!(query_value("", "token"), None);
        assert_eq!(query_value("token=%ff%", "token").as_deref(), Some("\u{fffd}%"), "no text is too broken to decode");
    }

    #[test]
    fn a14_at_a_proxy_the_key_of_openais_sdks_is_a_token() {
        let offered = ["realtime", "openai-insecure-api-key.o.o.o", "bearer.b.b.b"];
        assert_eq!(find_token(None, &offered, None, true).as_deref(), Some("o.o.o"));
        assert_eq!(find_token(None, &offered, None, false).as_deref(), Some("b.b.b"));
        assert_eq!(find_token(None, &offered[..2], Some("token=q"), false).as_deref(), Some("q"));
        let empty_first = ["openai-insecure-api-key.", "bearer.b"];
        assert_eq!(find_token(None, &empty_first, Some("token=q"), true).as_deref(), Some("b"));
    }

    #[test]
    fn a14_lines_are_split_into_names_whatever_stands_between_and_beside_them() {
        let lines: [&[u8]; 5] = [b" a ,, b\t", b"", b"caf\xe9, c", b"\xc3\xa9, \x80", b"d e,f"];
        assert_eq!(offered_subprotocols(lines.into_iter()), ["a", "b", "c", "f"]);
    }

    #[test]
    fn p3_the_servers_subprotocol_is_echoed_only_when_offered() {
        for at_proxy in [false, true] {
            assert_eq!(choose_subprotocol(&["graphql-ws", SUBPROTOCOL], at_proxy), Some(SUBPROTOCOL));
            assert_eq!(choose_subprotocol(&[], at_proxy), None);
        }
        assert_eq!(choose_subprotocol(&["graphql-ws", "realtime"], false), None);
        assert_eq!(choose_subprotocol(&["graphql-ws", "realtime"], true), Some("graphql-ws"));
    }

    #[test]
    fn a14_a_credential_a_long_name_and_what_is_no_name_are_never_echoed() {
        let long = "x".repeat(65);
        let refused =
            ["bearer.a.b.c", "Bearer.a", "openai-insecure-api-key.sk", "OpenAI-Insecure-API-Key.", &long, "a/b", "a=b"];
        for at_proxy in [false, true] {
            assert_eq!(choose_subprotocol(&refused, at_proxy), None);
            let with_ours = [&refused[..], &[SUBPROTOCOL]].concat();
            assert_eq!(choose_subprotocol(&with_ours, at_proxy), Some(SUBPROTOCOL));
        }
        let longest = &long[..64];
        assert_eq!(choose_subprotocol(&[&refused[..], &[longest, "b"]].concat(), true), Some(longest));
        assert_eq!(choose_subprotocol(&["bearer", "b"], true), Some("bearer"), "a word, and no credential");
    }
}
