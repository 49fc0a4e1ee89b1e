//! Owns reading headers by their presence: a value that is not text is still a value and never
//! counts as absent.

use std::borrow::Cow;

use actix_http::header::{HeaderMap, HeaderValue};

/// A value as text. Bytes that are not UTF-8 become U+FFFD, which no valid origin, host, token or
/// name contains.
pub(super) fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// The last header of this name, which the nearest proxy added; `None` if there is none.
pub(super) fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    headers.get_all(name).last().map(text)
}

/// The number of header lines with this name.
pub(super) fn count(headers: &HeaderMap, name: &str) -> usize {
    headers.get_all(name).count()
}

/// The request's origin. A repeated one gives "", which no list admits (A9); one that is not text
/// is not admitted either.
pub(super) fn origin(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all("origin");
    let origin = values.next()?;
    Some(if values.next().is_some() { Cow::Borrowed("") } else { text(origin) })
}

/// The items of a list header, from all its lines.
pub(super) fn items(headers: &HeaderMap, name: &str) -> Vec<String> {
    let items = headers.get_all(name).map(text);
    items.flat_map(|value| value.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use actix_http::header::{HeaderName, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

    use super::*;

    fn headers(lines: &[(HeaderName, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_value_that_is_no_text_is_present() {
        let headers = headers(&[(ORIGIN, b"https://\xff"), (SEC_WEBSOCKET_PROTOCOL, b"a\xff, innkeeper.v1.json")]);
        assert_eq!(last(&headers, "origin").as_deref(), Some("https://\u{fffd}"));
        assert_eq!(origin(&headers).as_deref(), Some("https://\u{fffd}"));
        assert_eq!(items(&headers, "sec-websocket-protocol"), ["a\u{fffd}", "innkeeper.v1.json"]);
        assert_eq!((last(&headers, "host"), count(&headers, "host")), (None, 0));
    }

    #[test]
    fn a9_two_origins_are_none_that_is_admitted() {
        let headers = headers(&[(ORIGIN, b"https://a.example"), (ORIGIN, b"https://a.example")]);
        assert_eq!((origin(&headers).as_deref(), count(&headers, "origin")), (Some(""), 2));
    }
}
