//! Owns the cases of Autobahn's sections 1 to 5, 7, 9 and 10.

use super::{BINARY, BINARY_BEGINS, CLOSE, CONTINUES, CONTINUES_AND_ENDS, Case, PING, PONG, TEXT, TEXT_BEGINS};
use crate::support::RawSocket;

pub fn all() -> impl Iterator<Item = Case> {
    framing().chain(pings()).chain(reserved()).chain(fragments()).chain(closes()).chain(limits())
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    RawSocket::frame(first, payload)
}

/// Sections 1.1 and 1.2: text and binary of lengths at the borders of the header's forms.
fn framing() -> impl Iterator<Item = Case> {
    let lengths = [0, 125, 126, 127, 128, 65_535, 65_536];
    [(TEXT, b'*'), (BINARY, 0xfe)].into_iter().zip(1..).flat_map(move |((first, byte), section)| {
        let whole = lengths.into_iter().zip(1..).map(move |(length, number)| {
            let payload = vec![byte; length];
            Case::new(format!("1.{section}.{number}"), vec![frame(first, &payload)]).echoes(first, &payload)
        });
        let payload = vec![byte; 65_536];
        let chopped = frame(first, &payload).chunks(997).map(<[u8]>::to_vec).collect();
        whole.chain([Case::new(format!("1.{section}.8"), chopped).echoes(first, &payload)])
    })
}

/// Section 2.
fn pings() -> impl Iterator<Item = Case> {
    let case = |number: &str, frames: &[(u8, &[u8])]| {
        let pongs: Vec<_> = frames.iter().filter(|(first, _)| *first == PING).map(|(_, payload)| *payload).collect();
        let writes = frames.iter().map(|(first, payload)| frame(*first, payload)).collect();
        Case::new(number, writes).pongs(&pongs)
    };
    let numbered: Vec<_> = (0..10).map(|number| format!("payload-{number}")).collect();
    let ten: Vec<_> = numbered.iter().map(|payload| (PING, payload.as_bytes())).collect();
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    [
        case("2.1", &[(PING, b"")]),
        case("2.2", &[(PING, b"Hello, world!")]),
        case("2.3", &[(PING, &binary)]),
        case("2.4", &[(PING, &[0xfe; 125])]),
        Case::new("2.5", vec![frame(PING, &[0xfe; 126])]).closes(1002),
        case("2.6", &[(PING, &[0xfe; 125])]).byte_by_byte(),
        case("2.7", &[(PONG, b"")]),
        case("2.8", &[(PONG, b"unsolicited pong payload")]),
        case("2.9", &[(PONG, b"unsolicited pong payload"), (PING, b"ping payload")]),
        case("2.10", &ten),
        case("2.11", &ten).byte_by_byte(),
    ]
    .into_iter()
}

/// Sections 3 and 4: reserved bits and opcodes, alone and behind a good message.
fn reserved() -> impl Iterator<Item = Case> {
    let hello = || frame(TEXT, b"Hello, world!");
    let bits = (1..8_u8).map(move |bits| {
        let first = if bits == 5 {
            BINARY
        } else if bits == 6 {
            PING
        } else if bits == 7 {
            CLOSE
        } else {
            TEXT
        };
        let bad = frame(first | bits << 4, if bits == 7 { b"" } else { b"small payload" });
        let writes = if (2..5).contains(&bits) { vec![hello(), bad, frame(PING, b"")] } else { vec![bad] };
        Case::new(format!("3.{bits}"), writes).closes(1002)
    });
    let opcodes = [(1, [3, 4, 5, 6, 7]), (2, [11, 12, 13, 14, 15])].into_iter().flat_map(move |(section, opcodes)| {
        opcodes.into_iter().zip(1..).map(move |(opcode, number)| {
            let payload: &[u8] = if number % 2 == 1 { b"" } else { b"reserved opcode payload" };
            let bad = frame(0x80 | opcode, payload);
            let writes = if number > 2 { vec![hello(), bad, frame(PING, b"")] } else { vec![bad] };
            Case::new(format!("4.{section}.{number}"), writes).closes(1002)
        })
    });
    bits.chain(opcodes)
}

/// Section 5.
fn fragments() -> impl Iterator<Item = Case> {
    let (one, two) = (frame(TEXT_BEGINS, b"fragment1"), frame(CONTINUES_AND_ENDS, b"fragment2"));
    let ping = frame(PING, b"ping payload");
    let whole = b"fragment1fragment2";
    let good = |number: &str, writes: &[&Vec<u8>]| {
        Case::new(number, writes.iter().map(|bytes| bytes.to_vec()).collect()).echoes(TEXT, whole)
    };
    let bad = |number: &str, writes: Vec<Vec<u8>>| Case::new(number, writes).closes(1002);
    let pinged = |case: Case| case.pongs(&[b"ping payload"]);
    let hello = frame(TEXT, b"Hello, world!");
    let lone = frame(CONTINUES_AND_ENDS, b"non-continuation payload");
    let open = frame(CONTINUES, b"non-continuation payload");
    let five: Vec<Vec<u8>> = (1..=5)
        .map(|number| {
            let first = if number == 1 {
                TEXT_BEGINS
            } else if number == 5 {
                CONTINUES_AND_ENDS
            } else {
                CONTINUES
            };
            frame(first, format!("fragment{number}").as_bytes())
        })
        .collect();
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|at| five[at].clone());
    let with_pings = vec![a, b, frame(PING, b"pongme 1!"), c, d, frame(PING, b"pongme 2!"), e];
    let five_whole = b"fragment1fragment2fragment3fragment4fragment5";
    let five_pinged = |number: &str| {
        Case::new(number, with_pings.clone()).echoes(TEXT, five_whole).pongs(&[b"pongme 1!", b"pongme 2!"])
    };
    vec![
        bad("5.1", vec![frame(0x09, b"fragment1"), two.clone()]),
        bad("5.2", vec![frame(0x0a, b"fragment1"), two.clone()]),
        good("5.3", &[&one, &two]),
        good("5.4", &[&[one.clone(), two.clone()].concat()]),
        good("5.5", &[&one, &two]).byte_by_byte(),
        pinged(good("5.6", &[&one, &ping, &two])),
        pinged(good("5.7", &[&[one.clone(), ping.clone(), two.clone()].concat()])),
        pinged(good("5.8", &[&one, &ping, &two])).byte_by_byte(),
        bad("5.9", vec![lone.clone(), hello.clone()]),
        bad("5.10", vec![[lone.clone(), hello.clone()].concat()]),
        bad("5.11", vec![lone.clone(), hello.clone()]).byte_by_byte(),
        bad("5.12", vec![open.clone(), hello.clone()]),
        bad("5.13", vec![[open.clone(), hello.clone()].concat()]),
        bad("5.14", vec![open.clone(), hello.clone()]).byte_by_byte(),
        bad("5.15", vec![one.clone(), two.clone(), frame(CONTINUES, b"fragment3"), frame(TEXT, b"fragment4")]),
        bad("5.16", vec![[frame(CONTINUES, b"fragment1"), one.clone(), two.clone()].concat(); 2]),
        bad("5.17", vec![[lone, one.clone(), two].concat(); 2]),
        bad("5.18", vec![one, frame(TEXT, b"fragment2")]),
        five_pinged("5.19"),
        five_pinged("5.20").byte_by_byte(),
    ]
    .into_iter()
}

/// Section 7.
fn closes() -> impl Iterator<Item = Case> {
    let close = |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
    let normal = || close(1000, b"");
    let hello = || frame(TEXT, b"Hello World!");
    let fixed = vec![
        Case::new("7.1.1", vec![hello()]).echoes(TEXT, b"Hello World!"),
        Case::new("7.1.2", vec![normal(), normal()]).closes(1000),
        Case::new("7.1.3", vec![normal(), frame(PING, b"")]).closes(1000),
        Case::new("7.1.4", vec![normal(), hello()]).closes(1000),
        Case::new("7.1.5", vec![frame(TEXT_BEGINS, b"fragment1"), normal(), frame(CONTINUES_AND_ENDS, b"2")])
            .closes(1000),
        Case::new("7.1.6", vec![frame(BINARY, &vec![b'x'; 256 * 1024]), normal(), frame(PING, b"")]).closes(1000),
        Case::new("7.3.1", vec![frame(CLOSE, b"")]).closes(1005),
        Case::new("7.3.2", vec![frame(CLOSE, b"a")]).closes(1002),
        Case::new("7.3.3", vec![normal()]).closes(1000),
        Case::new("7.3.4", vec![close(1000, b"Hello World!")]).closes(1000),
        Case::new("7.3.5", vec![close(1000, &[b'*'; 123])]).closes(1000),
        Case::new("7.3.6", vec![close(1000, &[b'*'; 124])]).closes(1002),
        Case::new("7.5.1", vec![close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")])
            .closes(1007),
    ];
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let good = good
        .into_iter()
        .zip(1..)
        .map(move |(code, number)| Case::new(format!("7.7.{number}"), vec![close(code, b"")]).closes(code));
    let bad = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    let bad = bad
        .into_iter()
        .zip(1..)
        .map(move |(code, number)| Case::new(format!("7.9.{number}"), vec![close(code, b"")]).closes(1002));
    let beyond = [5000, 65_535]
        .into_iter()
        .zip(1..)
        .map(move |(code, number)| Case::new(format!("7.13.{number}"), vec![close(code, b"")]).closes(1002));
    fixed.into_iter().chain(good).chain(bad).chain(beyond)
}

/// Sections 9 and 10: long messages, in one frame, in fragments, in small writes.
fn limits() -> impl Iterator<Item = Case> {
    const K: usize = 1024;
    let kinds = [(TEXT, TEXT_BEGINS, b'*'), (BINARY, BINARY_BEGINS, 0xfe)];
    let whole = kinds.into_iter().zip(1..).flat_map(|((first, _, byte), section)| {
        [64, 256, 1024, 4096].into_iter().zip(1..).map(move |(kib, number)| {
            let payload = vec![byte; kib * K];
            Case::new(format!("9.{section}.{number}"), vec![frame(first, &payload)]).echoes(first, &payload)
        })
    });
    let pieces = kinds.into_iter().zip(3..).flat_map(|((first, begins, byte), section)| {
        [64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576].into_iter().zip(1..).map(move |(size, number)| {
            let payload = vec![byte; if size < 1024 { 256 * K } else { 4096 * K }];
            fragmented(format!("9.{section}.{number}"), (first, begins), &payload, size)
        })
    });
    let chopped = kinds.into_iter().zip(5..).flat_map(|((first, _, byte), section)| {
        [64, 128, 256, 512, 1024, 2048].into_iter().zip(1..).map(move |(size, number)| {
            let payload = vec![byte; if size < 1024 { 64 * K } else { 1024 * K }];
            let writes = frame(first, &payload).chunks(size).map(<[u8]>::to_vec).collect();
            Case::new(format!("9.{section}.{number}"), writes).echoes(first, &payload)
        })
    });
    let automatic = fragmented("10.1.1".into(), (TEXT, TEXT_BEGINS), &[b'*'; 65_536], 1300);
    whole.chain(pieces).chain(chopped).chain([automatic])
}

/// One message in frames of `size` bytes.
fn fragmented(number: String, (first, begins): (u8, u8), payload: &[u8], size: usize) -> Case {
    let count = payload.len().div_ceil(size);
    let frames = payload.chunks(size).enumerate().map(|(at, chunk)| match at {
        _ if count == 1 => frame(first, chunk),
        0 => frame(begins, chunk),
        at if at + 1 == count => frame(CONTINUES_AND_ENDS, chunk),
        _ => frame(CONTINUES, chunk),
    });
    let bytes: Vec<u8> = frames.flatten().collect();
    Case::new(number, vec![bytes]).echoes(first, payload)
}
