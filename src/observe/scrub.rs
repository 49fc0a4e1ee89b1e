//! Owns the removal of secrets from text that leaves the process (A12). A second defence: callers
//! must not log secrets in the first place.

use std::{borrow::Cow, ops::Range};

/// What stands where a secret stood.
pub(super) const SCRUBBED: &str = "[scrubbed]";

/// Removes JWTs, the values of `token` and `session` (in a query or as JSON strings), bearer
/// credentials, and the user part of URLs. Linear in the length of the text; borrows when there is
/// nothing to remove.
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    // Where a search for a JWT's dot has already failed; keeps `eyJeyJeyJ…` linear.
    let mut no_jwt_before = 0;
    while let Some(byte) = bytes.get(at) {
        let found = match byte {
            b'e' if at >= no_jwt_before => match jwt(bytes, at) {
                Ok(secret) => Some(secret),
                Err(tried) => {
                    no_jwt_before = tried;
                    None
                }
            },
            b't' | b'T' => named(bytes, at, b"token"),
            b's' | b'S' => named(bytes, at, b"session"),
            b'b' | b'B' => bearer(bytes, at),
            b'a' | b'A' => api_key(bytes, at),
            b':' => user_info(bytes, at),
            _ => None,
        };
        match found {
            // Both ends are next to ASCII bytes (or the text's end), so they are character
            // boundaries.
            Some(secret) if !secret.is_empty() => {
                out.push_str(text.get(kept..secret.start).unwrap_or_default());
                out.push_str(SCRUBBED);
                kept = secret.end;
                at = secret.end;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// The end of the run of bytes from `at` that satisfy `is`.
fn run(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(at).position(|b| !is(*b)).map_or(bytes.len(), |n| at + n)
}

fn follows(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
}

fn is_word_start(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(|b| !b.is_ascii_alphanumeric())
}

fn is_base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

/// `eyJ` is base64url for `{"`. Header and payload are enough: the signature may be empty, or cut
/// off. `Err` is how far no `eyJ` can begin a JWT.
fn jwt(bytes: &[u8], at: usize) -> Result<Range<usize>, usize> {
    if !bytes.get(at..).is_some_and(|rest| rest.starts_with(b"eyJ")) {
        return Err(at);
    }
    let header = run(bytes, at, is_base64url);
    if bytes.get(header) != Some(&b'.') {
        return Err(header);
    }
    let payload = run(bytes, header + 1, is_base64url);
    let looks_cut = follows(bytes, header + 1, b"eyJ");
    if !looks_cut && (payload == header + 1 || bytes.get(payload) != Some(&b'.')) {
        return Err(header);
    }
    // A signature, or a JWE's further parts.
    Ok(at..run(bytes, payload, |b| is_base64url(b) || b == b'.'))
}

/// `token=…` up to the end of a query value, or `"token":"…"`, the quotes escaped or not. Only the
/// value is removed.
fn named(bytes: &[u8], at: usize, name: &[u8]) -> Option<Range<usize>> {
    if !is_word_start(bytes, at) || !follows(bytes, at, name) {
        return None;
    }
    let after = at + name.len();
    if bytes.get(after) == Some(&b'=') {
        let is_value = |b: u8| !b.is_ascii_whitespace() && !matches!(b, b'&' | b'#' | b'"' | b'\'' | b'<' | b'>');
        return Some(after + 1..run(bytes, after + 1, is_value));
    }
    let colon = run(bytes, after, |b| matches!(b, b'\\' | b'"' | b' '));
    if colon == after || bytes.get(colon) != Some(&b':') {
        return None;
    }
    let opening = run(bytes, colon + 1, |b| matches!(b, b'\\' | b' '));
    if bytes.get(opening) != Some(&b'"') {
        return None;
    }
    Some(opening + 1..run(bytes, opening + 1, |b| !matches!(b, b'"' | b'\\')))
}

/// `Bearer x` of an Authorization header (RFC 6750 section 2.1), `bearer.x` of a subprotocol (P3).
fn bearer(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    if !is_word_start(bytes, at) || !follows(bytes, at, b"bearer") {
        return None;
    }
    let after = at + b"bearer".len();
    let start = if bytes.get(after) == Some(&b'.') { after + 1 } else { run(bytes, after, |b| b == b' ') };
    (start > after).then(|| start..run(bytes, start, is_credential))
}

/// `openai-insecure-api-key.x` of a subprotocol (A14).
fn api_key(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let word = b"api-key.";
    let start = at + word.len();
    (is_word_start(bytes, at) && follows(bytes, at, word)).then(|| start..run(bytes, start, is_credential))
}

fn is_credential(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// `user:password@` after `://`: a database's URL, a DSN's key.
fn user_info(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    if !follows(bytes, at, b"://") {
        return None;
    }
    let start = at + 3;
    let is_authority = |b: u8| !b.is_ascii_whitespace() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'');
    let end = run(bytes, start, is_authority);
    let sign = bytes.get(start..end)?.iter().rposition(|b| *b == b'@')?;
    Some(start..start + sign)
}

#[cfg(test)]
#[path = "scrub_tests.rs"]
mod tests;
