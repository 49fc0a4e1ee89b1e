//! Owns the cases of Autobahn's section 6: text that is UTF-8 and text that is not.

use super::{CONTINUES, CONTINUES_AND_ENDS, Case, TEXT, TEXT_BEGINS};
use crate::support::RawSocket;

const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
const GREETING: &str = "Hello-µ@ßöäüàá-UTF-8!!";

pub fn all() -> impl Iterator<Item = Case> {
    fragmented().chain(fail_fast()).chain(sequences())
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    RawSocket::frame(first, payload)
}

/// One text in frames of these payloads.
fn text(number: &str, parts: &[&[u8]]) -> Case {
    let last = parts.len() - 1;
    let writes = parts.iter().enumerate().map(|(at, part)| match (at, at == last) {
        (0, true) => frame(TEXT, part),
        (0, false) => frame(TEXT_BEGINS, part),
        (_, true) => frame(CONTINUES_AND_ENDS, part),
        (_, false) => frame(CONTINUES, part),
    });
    Case::new(number, writes.collect())
}

/// Sections 6.1 to 6.3.
fn fragmented() -> impl Iterator<Item = Case> {
    let single: Vec<&[u8]> = GREETING.as_bytes().chunks(1).collect();
    let kosme: Vec<&[u8]> = KOSME.chunks(1).collect();
    let bad = [KOSME, b"\xed\xa0\x80edited"].concat();
    let bad_single: Vec<&[u8]> = bad.chunks(1).collect();
    let (head, tail) = GREETING.split_at(GREETING.len() / 2 + 1);
    vec![
        text("6.1.1", &[b""]).echoes(TEXT, b""),
        text("6.1.2", &[b"", b"", b""]).echoes(TEXT, b""),
        text("6.1.3", &[b"", b"middle frame payload", b""]).echoes(TEXT, b"middle frame payload"),
        text("6.2.1", &[GREETING.as_bytes()]).echoes(TEXT, GREETING.as_bytes()),
        text("6.2.2", &[head.as_bytes(), tail.as_bytes()]).echoes(TEXT, GREETING.as_bytes()),
        text("6.2.3", &single).echoes(TEXT, GREETING.as_bytes()),
        text("6.2.4", &kosme).echoes(TEXT, KOSME),
        text("6.3.1", &[&bad]).closes(1007),
        text("6.3.2", &bad_single).closes(1007),
    ]
    .into_iter()
}

/// Section 6.4: invalid bytes in a message that does not end. The close must not wait for its end.
fn fail_fast() -> impl Iterator<Item = Case> {
    let (surrogate, beyond) = (b"\xed\xa0\x80", b"\xf4\x90\x80\x80");
    let fragments = |number: &str, bad: &[u8]| {
        Case::new(number, vec![frame(TEXT_BEGINS, KOSME), frame(CONTINUES, bad)]).closes(1007)
    };
    let unfinished = |number: &str, bad: &[u8]| {
        let bytes = frame(TEXT, &[KOSME, bad, b"edited"].concat());
        let cut = bytes.len() - b"edited".len();
        let (begin, bad) = bytes[..cut].split_at(cut - bad.len());
        Case::new(number, vec![begin.to_vec(), bad.to_vec()]).closes(1007)
    };
    [
        fragments("6.4.1", beyond),
        // Two of the four bytes are wrong already.
        fragments("6.4.2", &beyond[..2]),
        unfinished("6.4.3", beyond),
        unfinished("6.4.4", surrogate),
    ]
    .into_iter()
}

/// Sections 6.5 to 6.23: single messages.
fn sequences() -> impl Iterator<Item = Case> {
    let good = GOOD.iter().map(|(section, texts)| (section, texts, true));
    let bad = BAD.iter().map(|(section, texts)| (section, texts, false));
    good.chain(bad).flat_map(|(section, texts, is_good)| {
        texts.iter().map(move |(number, bytes)| {
            let case = text(&format!("6.{section}.{number}"), &[bytes]);
            if is_good { case.echoes(TEXT, bytes) } else { case.closes(1007) }
        })
    })
}

/// Section, and its numbers with their bytes.
type Texts = &'static [(u8, &'static [(u8, &'static [u8])])];

const GOOD: Texts = &[
    (5, &[(1, KOSME), (2, b"\xce\xba"), (3, b"\xef\xbf\xbd"), (4, b"Hello"), (5, b"\xf0\x9f\x98\x80")]),
    (
        6,
        &[
            (2, b"\xce\xba"),
            (5, b"\xce\xba\xe1\xbd\xb9"),
            (7, b"\xce\xba\xe1\xbd\xb9\xcf\x83"),
            (9, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc"),
            (11, KOSME),
        ],
    ),
    (7, &[(1, b"\0"), (2, b"\xc2\x80"), (3, b"\xe0\xa0\x80"), (4, b"\xf0\x90\x80\x80")]),
    (9, &[(1, b"\x7f"), (2, b"\xdf\xbf"), (3, b"\xef\xbf\xbf"), (4, b"\xf4\x8f\xbf\xbf")]),
    (11, &[(1, b"\xed\x9f\xbf"), (2, b"\xee\x80\x80"), (3, b"\xef\xbf\xbd"), (4, b"\xf4\x8f\xbf\xbf")]),
    (
        22,
        &[
            (1, b"\xef\xbf\xbe"),
            (2, b"\xef\xbf\xbf"),
            (3, b"\xf0\x9f\xbf\xbe"),
            (4, b"\xf0\x9f\xbf\xbf"),
            (5, b"\xf0\xaf\xbf\xbe"),
            (6, b"\xf0\xaf\xbf\xbf"),
            (7, b"\xf0\xbf\xbf\xbe"),
            (8, b"\xf0\xbf\xbf\xbf"),
            (9, b"\xf1\x8f\xbf\xbe"),
            (10, b"\xf1\x8f\xbf\xbf"),
            (33, b"\xf4\x8f\xbf\xbe"),
            (34, b"\xf4\x8f\xbf\xbf"),
        ],
    ),
    (
        23,
        &[
            (1, b"\xef\xbf\xb9"),
            (2, b"\xef\xbf\xba"),
            (3, b"\xef\xbf\xbb"),
            (4, b"\xef\xbf\xbc"),
            (5, b"\xef\xbf\xbd"),
            (6, b"\xef\xbf\xbe"),
            (7, b"\xef\xbf\xbf"),
        ],
    ),
];

const BAD: Texts = &[
    (
        6,
        &[
            (1, b"\xce"),
            (3, b"\xce\xba\xe1"),
            (4, b"\xce\xba\xe1\xbd"),
            (6, b"\xce\xba\xe1\xbd\xb9\xcf"),
            (8, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce"),
            (10, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce"),
        ],
    ),
    (8, &[(1, b"\xf8\x88\x80\x80\x80"), (2, b"\xfc\x84\x80\x80\x80\x80")]),
    (10, &[(1, b"\xf7\xbf\xbf\xbf"), (2, b"\xfb\xbf\xbf\xbf\xbf"), (3, b"\xfd\xbf\xbf\xbf\xbf\xbf")]),
    (11, &[(5, b"\xf4\x90\x80\x80")]),
    (
        12,
        &[
            (1, b"\x80"),
            (2, b"\xbf"),
            (3, b"\x80\xbf"),
            (4, b"\x80\xbf\x80"),
            (5, b"\x80\xbf\x80\xbf"),
            (6, b"\x80\xbf\x80\xbf\x80"),
            (7, b"\x80\xbf\x80\xbf\x80\xbf"),
            (8, b"\x80\x81\x82\x8f\x90\x9f\xa0\xaf\xb0\xbe"),
        ],
    ),
    (
        13,
        &[
            (1, b"\xc0 \xc1 \xc2 \xdf "),
            (2, b"\xe0 \xe1 \xee \xef "),
            (3, b"\xf0 \xf1 \xf6 \xf7 "),
            (4, b"\xf8 \xf9 \xfa \xfb "),
            (5, b"\xfc \xfd "),
        ],
    ),
    (
        14,
        &[
            (1, b"\xc0"),
            (2, b"\xe0\x80"),
            (3, b"\xf0\x80\x80"),
            (4, b"\xf8\x80\x80\x80"),
            (5, b"\xfc\x80\x80\x80\x80"),
            (6, b"\xdf"),
            (7, b"\xef\xbf"),
            (8, b"\xf7\xbf\xbf"),
            (9, b"\xfb\xbf\xbf\xbf"),
            (10, b"\xfd\xbf\xbf\xbf\xbf"),
        ],
    ),
    (15, &[(1, b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf")]),
    (16, &[(1, b"\xfe"), (2, b"\xff"), (3, b"\xfe\xfe\xff\xff")]),
    (
        17,
        &[
            (1, b"\xc0\xaf"),
            (2, b"\xe0\x80\xaf"),
            (3, b"\xf0\x80\x80\xaf"),
            (4, b"\xf8\x80\x80\x80\xaf"),
            (5, b"\xfc\x80\x80\x80\x80\xaf"),
        ],
    ),
    (
        18,
        &[
            (1, b"\xc1\xbf"),
            (2, b"\xe0\x9f\xbf"),
            (3, b"\xf0\x8f\xbf\xbf"),
            (4, b"\xf8\x87\xbf\xbf\xbf"),
            (5, b"\xfc\x83\xbf\xbf\xbf\xbf"),
        ],
    ),
    (
        19,
        &[
            (1, b"\xc0\x80"),
            (2, b"\xe0\x80\x80"),
            (3, b"\xf0\x80\x80\x80"),
            (4, b"\xf8\x80\x80\x80\x80"),
            (5, b"\xfc\x80\x80\x80\x80\x80"),
        ],
    ),
    (
        20,
        &[
            (1, b"\xed\xa0\x80"),
            (2, b"\xed\xad\xbf"),
            (3, b"\xed\xae\x80"),
            (4, b"\xed\xaf\xbf"),
            (5, b"\xed\xb0\x80"),
            (6, b"\xed\xbe\x80"),
            (7, b"\xed\xbf\xbf"),
        ],
    ),
    (
        21,
        &[
            (1, b"\xed\xa0\x80\xed\xb0\x80"),
            (2, b"\xed\xa0\x80\xed\xbf\xbf"),
            (3, b"\xed\xad\xbf\xed\xb0\x80"),
            (4, b"\xed\xad\xbf\xed\xbf\xbf"),
            (5, b"\xed\xae\x80\xed\xb0\x80"),
            (6, b"\xed\xae\x80\xed\xbf\xbf"),
            (7, b"\xed\xaf\xbf\xed\xb0\x80"),
            (8, b"\xed\xaf\xbf\xed\xbf\xbf"),
        ],
    ),
];
