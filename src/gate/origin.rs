//! Owns the rule of A9: which web pages may connect. It protects users of browsers only, as other
//! clients can forge an `Origin`.

use crate::config::{Origin, OriginPattern};

/// Returns whether a request is admitted (A9). `origin` and `host` are the texts of those headers,
/// `None` if absent. If a request repeats `Origin`, pass `Some` of a text that is not an origin,
/// such as the empty one.
///
/// A request without `Origin` comes from no browser and is admitted. With a list (`patterns`), an
/// origin must match an entry, even the server's own. Without a list, pages of the server's own
/// host are admitted, and in `open_mode` (A10) those from loopback.
pub(crate) fn admits(
    patterns: Option<&[OriginPattern]>,
    origin: Option<&str>,
    host: Option<&str>,
    open_mode: bool,
) -> bool {
    let page = match origin {
        None => return true,
        Some("null") => None,
        Some(text) => match Origin::parse(text) {
            Ok(page) => Some(page),
            // Several origins or a malformed one are refused even by `*`: no browser sends them.
            Err(_) => return false,
        },
    };
    match patterns {
        Some(patterns) => patterns.iter().any(|pattern| pattern.matches(page.as_ref())),
        None => page
            .is_some_and(|page| host.is_some_and(|host| page.is_served_by(host)) || (open_mode && page.is_loopback())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unset(origin: &str, host: &str, open_mode: bool) -> bool {
        admits(None, Some(origin), Some(host), open_mode)
    }

    #[test]
    fn a9_without_an_origin_a_request_is_admitted_list_or_not() {
        let list = [OriginPattern::parse("https://play.example.com").unwrap()];
        assert!(admits(None, None, None, false));
        assert!(admits(Some(&list), None, Some("game.example.com"), false));
    }

    #[test]
    fn a9_without_a_list_same_origin_pages_are_admitted() {
        for (origin, host) in [
            ("https://game.example.com", "game.example.com"),
            ("https://Game.Example.com", "game.EXAMPLE.com"),
            ("https://game.example.com", "game.example.com:443"),
            ("https://game.example.com:443", "game.example.com"),
            ("http://game.example.com", "game.example.com:80"),
            ("http://10.0.0.7:8080", "10.0.0.7:8080"),
            ("http://[2001:db8::1]:8080", "[2001:DB8::1]:8080"),
        ] {
            assert!(unset(origin, host, false), "{origin} on {host}");
        }
    }

    #[test]
    fn a9_without_a_list_other_pages_are_refused() {
        for (origin, host) in [
            ("https://evil.example", "game.example.com"),
            ("https://game.example.com.evil.example", "game.example.com"),
            ("https://evilgame.example.com", "game.example.com"),
            ("https://game.example.com:8443", "game.example.com"),
            ("https://game.example.com", "game.example.com:80"),
            ("http://game.example.com", "game.example.com:8080"),
            ("ftp://game.example.com", "game.example.com"),
            ("http://localhost:3000", "localhost:8080"),
        ] {
            assert!(!unset(origin, host, false), "{origin} on {host}");
        }
        assert!(!admits(None, Some("https://game.example.com"), None, false));
    }

    #[test]
    fn a9_loopback_pages_are_admitted_in_development_mode_only() {
        for origin in [
            "http://localhost:5173",
            "https://LOCALHOST",
            "http://app.localhost:3000",
            "http://127.0.0.1:8000",
            "http://127.8.9.10",
            "http://[::1]:8000",
        ] {
            assert!(unset(origin, "game.example.com", true), "{origin}");
            assert!(!unset(origin, "game.example.com", false), "{origin}");
        }
        for origin in
            ["http://localhost.evil.example", "http://notlocalhost", "http://128.0.0.1", "http://127.0.0.1.evil"]
        {
            assert!(!unset(origin, "game.example.com", true), "{origin}");
        }
        let list = [OriginPattern::parse("https://play.example.com").unwrap()];
        assert!(!admits(Some(&list), Some("http://localhost:5173"), None, true), "a list says it all");
    }

    #[test]
    fn a9_with_a_list_an_entry_must_match_and_same_origin_is_not_implied() {
        let list = [
            OriginPattern::parse("https://play.example.com").unwrap(),
            OriginPattern::Subdomains { scheme: "https".into(), suffix: ".example.org".into(), port: None },
        ];
        let listed = |origin| admits(Some(&list), Some(origin), Some("game.example.com"), false);
        assert!(listed("https://play.example.com"));
        assert!(listed("https://a.example.org"));
        assert!(!listed("https://example.org"));
        assert!(!listed("https://game.example.com"));
        assert!(!admits(Some(&[]), Some("https://play.example.com"), None, true));
    }

    #[test]
    fn a9_null_is_admitted_by_the_wildcard_only() {
        assert!(!unset("null", "null", true));
        assert!(admits(Some(&[OriginPattern::Any]), Some("null"), None, false));
        assert!(admits(Some(&[OriginPattern::Any]), Some("https://anywhere.example"), None, false));
    }

    #[test]
    fn a9_garbage_and_several_origins_are_refused_even_by_the_wildcard() {
        for origin in [
            "",
            "game.example.com",
            "://game.example.com",
            "http://",
            "https://game.example.com/",
            "https://user@game.example.com",
            "https://game.example.com https://evil.example",
            "https://game.example.com, https://evil.example",
            "https://game.example.com\\evil",
            "https://gäme.example.com",
        ] {
            assert!(!unset(origin, "game.example.com", true), "{origin}");
            assert!(!admits(Some(&[OriginPattern::Any]), Some(origin), None, true), "{origin}");
        }
        for (origin, host) in
            [("http://a:+80", "a"), ("http://a:", "a:x"), ("http://a:99999", "a:99999"), ("http://[a]", "[a]")]
        {
            assert!(!unset(origin, host, false), "{origin}");
        }
    }
}
