//! Owns where an upgrade request carries a token or another value, and which subprotocol is answered (A11, P3, R1).
//! Called with the request's parts; values found here are secrets and must not be logged (A12).

use crate::protocol::{BEARER_SUBPROTOCOL, SUBPROTOCOL};

/// The token of a request, in A11's order: `Authorization: Bearer`, the `bearer.` subprotocol, `?token=`. An empty one is
/// none. `subprotocols` are the offered names, one each; `query` is the text after `?`.
pub fn find_token(authorization: Option<&str>, subprotocols: &[&str], query: Option<&str>) -> Option<String> {
    let in_header = authorization.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let in_subprotocols =
        || subprotocols.iter().find_map(|name| name.trim().strip_prefix(BEARER_SUBPROTOCOL)).map(str::to_owned);
    let in_query = || query.and_then(|query| query_value(query, "token"));
    let is_some_text = |token: &String| !token.is_empty();
    in_header
        .filter(is_some_text)
        .or_else(|| in_subprotocols().filter(is_some_text))
        .or_else(|| in_query().filter(is_some_text))
}

/// The subprotocol to echo, when it is among the offered (P3); a `bearer.` one never is.
pub fn choose_subprotocol(offered: &[&str]) -> Option<&'static str> {
    offered.iter().any(|name| name.trim() == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

/// The first value of a key in a query, decoded as browsers encode it (`%XX`, `+` for a space).
pub fn query_value(query: &str, key: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(authorization: Option<&str>, subprotocols: &[&str], query: Option<&str>) -> Option<String> {
        find_token(authorization, subprotocols, query)
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
    fn p3_the_servers_subprotocol_is_echoed_only_when_offered() {
        assert_eq!(choose_subprotocol(&["graphql-ws", SUBPROTOCOL]), Some(SUBPROTOCOL));
        assert_eq!(choose_subprotocol(&["graphql-ws"]), None);
        assert_eq!(choose_subprotocol(&[]), None);
    }

    #[test]
    fn p3_a_token_is_never_echoed() {
        assert_eq!(choose_subprotocol(&["bearer.a.b.c"]), None);
        assert_eq!(choose_subprotocol(&["bearer.a.b.c", SUBPROTOCOL]), Some(SUBPROTOCOL));
    }
}
