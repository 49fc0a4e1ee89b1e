//! Owns the tests of the decoder: one per rule of RFC 6455 and of S4, and properties against
//! tungstenite's encoder.

use bytes::BytesMut;
use proptest::prelude::*;
use tungstenite::protocol::frame::{
    Frame, FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::*;

const MAX: usize = 64 * 1024;
/// What `buffered_bytes` may be beyond the message: the box, and one control frame.
const OVERHEAD: usize = mem::size_of::<Pending>() + 125;

fn client_frame(opcode: OpCode, fin: bool, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let header = FrameHeader { is_final: fin, opcode, mask: Some(mask), ..FrameHeader::default() };
    let mut out = Vec::new();
    Frame::from_payload(header, BytesMut::from(payload).freeze()).format(&mut out).unwrap();
    out
}

fn data(kind: Data, fin: bool, payload: &[u8]) -> Vec<u8> {
    client_frame(OpCode::Data(kind), fin, payload, [1, 2, 3, 4])
}

fn control(kind: Control, payload: &[u8]) -> Vec<u8> {
    client_frame(OpCode::Control(kind), true, payload, [9, 8, 7, 6])
}

/// Feeds `bytes` in reads of `read_bytes`; returns the messages before the end or the error.
fn decode_in(decoder: &mut Decoder, bytes: &[u8], read_bytes: usize) -> (Vec<Message>, Result<(), DecodeError>) {
    let mut messages = Vec::new();
    for read in bytes.chunks(read_bytes) {
        let result = decoder.feed(&mut read.to_vec(), &mut |message, _| {
            messages.push(message);
            ControlFlow::Continue(())
        });
        match result {
            Ok(consumed) => assert_eq!(consumed, read.len()),
            Err(error) => return (messages, Err(error)),
        }
    }
    (messages, Ok(()))
}

/// Decodes in one read and byte by byte; both must agree.
fn decode(bytes: &[u8]) -> (Vec<Message>, Result<(), DecodeError>) {
    let at_once = decode_in(&mut Decoder::new(MAX), bytes, usize::MAX);
    assert_eq!(at_once, decode_in(&mut Decoder::new(MAX), bytes, 1));
    at_once
}

fn protocol_error(bytes: &[u8]) -> &'static str {
    match decode(bytes) {
        (messages, Err(DecodeError::Protocol(why))) if messages.iter().all(|m| *m == Message::Nop) => why,
        other => panic!("{bytes:02x?} gave {other:?}"),
    }
}

#[test]
fn an_idle_decoder_is_small_and_holds_no_heap() {
    assert!(mem::size_of::<Decoder>() <= 64);
    let mut decoder = Decoder::new(MAX);
    let bytes =
        [data(Data::Text, false, b"a"), control(Control::Ping, b"p"), data(Data::Continue, true, b"b")].concat();
    let (messages, result) = decode_in(&mut decoder, &bytes, 1);
    assert_eq!((messages.len(), result), (3, Ok(())));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn s4_a_declared_gigabyte_is_refused_from_its_header() {
    for length in [(MAX as u64) + 1, 1 << 30, (1 << 63) - 1] {
        let header = [&[0x81, 0xff][..], &length.to_be_bytes()].concat();
        assert_eq!(decode(&header), (vec![], Err(DecodeError::TooBig)), "no mask, no payload seen yet");
    }
}

#[test]
fn s4_fragments_count_as_their_sum_and_controls_do_not_count() {
    let half = vec![b'x'; MAX / 2];
    let start = [data(Data::Text, false, &half), control(Control::Ping, &[0; 125])].concat();
    let fits = [start.clone(), data(Data::Continue, true, &half)].concat();
    let (messages, result) = decode_in(&mut Decoder::new(MAX), &fits, 1000);
    assert!(matches!(messages.last(), Some(Message::Text(text)) if text.len() == MAX));
    assert_eq!(result, Ok(()));

    let over = [start, data(Data::Continue, false, &half), data(Data::Continue, false, b"x")].concat();
    let mut decoder = Decoder::new(MAX);
    let (messages, result) = decode_in(&mut decoder, &over, 1000);
    assert_eq!((messages.len(), result), (3, Err(DecodeError::TooBig)));
    assert_eq!(decoder.buffered_bytes(), 0, "a refusal frees the buffers");
}

#[test]
fn a_declared_length_costs_only_what_has_arrived() {
    let frame = data(Data::Text, true, &vec![b'x'; 60 * 1024]);
    let mut decoder = Decoder::new(MAX);
    decode_in(&mut decoder, &frame[..8 + 10], usize::MAX).1.unwrap();
    assert!(decoder.buffered_bytes() <= OVERHEAD + 10);
    decode_in(&mut decoder, &frame[18..frame.len() - 1], 1460).1.unwrap();
    assert!(decoder.buffered_bytes() <= OVERHEAD + 60 * 1024, "growth stops at the declared length");
}

#[test]
fn reserved_bits_and_unknown_opcodes_are_refused_at_the_first_byte() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(protocol_error(&[0x81 | bit]), "a reserved bit is set");
    }
    for opcode in (3..=7).chain(0xb..=0xf) {
        assert_eq!(protocol_error(&[0x80 | opcode]), "an unknown opcode");
    }
}

#[test]
fn an_unmasked_frame_is_refused() {
    assert_eq!(protocol_error(&[0x81, 0x02, b'h', b'i']), "an unmasked frame");
    assert_eq!(protocol_error(&[0x88, 0x00]), "an unmasked frame");
}

#[test]
fn control_frames_are_final_and_short() {
    for opcode in [0x08, 0x09, 0x0a] {
        assert_eq!(protocol_error(&[opcode, 0x80]), "a fragmented control frame");
        for length in [126, 127] {
            assert_eq!(protocol_error(&[0x80 | opcode, 0x80 | length]), "a control frame over 125 bytes");
        }
    }
    let (messages, _) = decode(&control(Control::Ping, &[5; 125]));
    assert_eq!(messages, [Message::Ping(vec![5; 125].into())]);
}

#[test]
fn a_length_in_more_bytes_than_it_needs_is_refused() {
    assert!(protocol_error(&[0x81, 0xfe, 0, 125]).contains("more bytes"));
    assert!(protocol_error(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).contains("more bytes"));
    assert!(protocol_error(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]).contains("top bit"));
}

#[test]
fn fragments_keep_their_order() {
    assert_eq!(protocol_error(&data(Data::Continue, true, b"x")), "a continuation without a start");
    for kind in [Data::Text, Data::Binary] {
        let bytes = [data(Data::Text, false, b"a"), data(kind, true, b"b")].concat();
        assert_eq!(protocol_error(&bytes), "a new message inside a fragmented one");
    }
    let again = [data(Data::Text, false, b"a"), data(Data::Continue, true, b"b"), data(Data::Continue, true, b"c")];
    assert_eq!(decode(&again.concat()).1, Err(DecodeError::Protocol("a continuation without a start")));
}

#[test]
fn text_is_utf8_as_a_whole_message_and_binary_is_free() {
    assert_eq!(decode(&data(Data::Text, true, b"\xff")), (vec![], Err(DecodeError::InvalidUtf8)));
    let split = "é".as_bytes();
    let bytes = [data(Data::Text, false, &split[..1]), data(Data::Continue, true, &split[1..])].concat();
    assert_eq!(decode(&bytes), (vec![Message::Nop, Message::Text("é".into())], Ok(())));
    let cut = [data(Data::Text, false, &split[..1]), data(Data::Continue, true, b"")].concat();
    assert_eq!(decode(&cut), (vec![Message::Nop], Err(DecodeError::InvalidUtf8)));
    let binary = data(Data::Binary, true, b"\xff");
    assert_eq!(decode(&binary).0, [Message::Binary(Bytes::from_static(b"\xff"))]);
}

#[test]
fn invalid_utf8_is_refused_as_soon_as_it_arrives_not_when_its_message_ends() {
    let refused = |bytes: &[u8]| assert_eq!(decode(bytes).1, Err(DecodeError::InvalidUtf8), "{bytes:02x?}");
    let open = [data(Data::Text, false, b"ok\xe2\x82"), data(Data::Continue, false, b"\xac\xed\xa0")];
    refused(&open.concat());
    let unfinished = data(Data::Text, true, b"\xf4\x90 and so on");
    refused(&unfinished[..unfinished.len() - 10]);
    let cut = data(Data::Text, true, "€".as_bytes());
    assert_eq!(decode(&cut[..cut.len() - 1]).1, Ok(()), "the rest of the character may still come");
    let binary = [data(Data::Binary, false, b"\xff"), data(Data::Continue, true, b"\xff")];
    assert_eq!(decode(&binary.concat()).0.len(), 2);
    let pinged = [data(Data::Text, false, b"a"), control(Control::Ping, b"\xff"), data(Data::Continue, true, b"b")];
    assert_eq!(decode(&pinged.concat()).0.last(), Some(&Message::Text("ab".into())));
}

#[test]
fn close_frames_carry_nothing_or_a_code_that_may_be_sent_and_a_utf8_reason() {
    let close = |code: u16, reason: &[u8]| control(Control::Close, &[&code.to_be_bytes(), reason].concat());
    assert_eq!(decode(&control(Control::Close, b"")).0, [Message::Close(None)]);
    assert_eq!(protocol_error(&control(Control::Close, b"\x03")), "a close frame of one byte");
    for code in 0..=u16::MAX {
        let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(decode(&close(code, b"")).1.is_ok(), sendable, "{code}");
    }
    let reason = CloseReason { code: CloseCode::Other(4999), description: Some("bye".into()) };
    assert_eq!(decode(&close(4999, b"bye")).0, [Message::Close(Some(reason))]);
    assert_eq!(decode(&close(1000, b"\xc3")), (vec![], Err(DecodeError::InvalidUtf8)));
}

#[test]
fn breaking_off_leaves_the_rest_of_the_input_unread() {
    let frames = [control(Control::Close, b""), data(Data::Text, true, b"late")];
    let mut decoder = Decoder::new(MAX);
    let mut input = frames.concat();
    assert_eq!(decoder.feed(&mut input, &mut |_, _| ControlFlow::Break(())), Ok(frames[0].len()));
    let (messages, _) = decode_in(&mut decoder, &input[frames[0].len()..], usize::MAX);
    assert_eq!(messages, [Message::Text("late".into())]);
}

#[test]
fn a_flood_of_a_million_tiny_frames_takes_linear_time() {
    // Quadratic work over these 6 MB would not end within a test run.
    let flood = data(Data::Text, true, b"").repeat(1_000_000);
    let (messages, result) = decode_in(&mut Decoder::new(MAX), &flood, usize::MAX);
    assert_eq!((messages.len(), result), (1_000_000, Ok(())));

    let fragments = [data(Data::Text, false, b"x"), data(Data::Continue, false, b"x").repeat(999_999)].concat();
    let (messages, result) = decode_in(&mut Decoder::new(2_000_000), &fragments, usize::MAX);
    assert_eq!((messages.len(), result), (1_000_000, Ok(())));
}

#[test]
fn a_buffer_grows_in_few_steps_and_never_past_its_limit() {
    let (mut buffer, mut capacities) = (Vec::new(), std::collections::BTreeSet::new());
    for _ in 0..100_000 {
        append(&mut buffer, b"x", 100_000);
        capacities.insert(buffer.capacity());
    }
    assert!(capacities.len() <= 18, "{capacities:?}");
    assert_eq!(capacities.last(), Some(&100_000));
}

#[test]
fn errors_name_their_cause() {
    assert_eq!(DecodeError::TooBig.cause(), Cause::MessageTooBig);
    assert_eq!(DecodeError::InvalidUtf8.cause(), Cause::InvalidUtf8);
    assert_eq!(DecodeError::Protocol("x").cause(), Cause::ProtocolError);
    assert_eq!(DecodeError::Protocol("x").to_string(), "not RFC 6455: x");
}

/// A message as a client sends it: its payload, where it is fragmented, and the fragments after
/// which it sends a ping.
#[derive(Debug, Clone)]
struct Sent {
    text: Option<String>,
    binary: Vec<u8>,
    cuts: Vec<prop::sample::Index>,
    ping_after: Option<(prop::sample::Index, Vec<u8>)>,
    mask: [u8; 4],
}

fn sent() -> impl Strategy<Value = Sent> {
    let ping = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..=125));
    let binary = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (65_530_usize..65_545, any::<u8>()).prop_map(|(n, b)| (0..n).map(|i| (i as u8).wrapping_mul(b)).collect()),
    ];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (prop::option::of(".{0,200}"), binary, cuts, prop::option::of(ping), any::<[u8; 4]>())
        .prop_map(|(text, binary, cuts, ping_after, mask)| Sent { text, binary, cuts, ping_after, mask })
}

impl Sent {
    fn encode(&self, wire: &mut Vec<u8>, expected: &mut Vec<Message>) {
        let payload = self.text.as_ref().map_or(&self.binary[..], |text| text.as_bytes());
        let mut cuts: Vec<_> = self.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        let fragments = cuts.len() - 1;
        let ping_at = self.ping_after.as_ref().map(|(index, _)| index.index(fragments));
        for (number, ends) in cuts.windows(2).enumerate() {
            let kind = match (number, &self.text) {
                (0, Some(_)) => Data::Text,
                (0, None) => Data::Binary,
                _ => Data::Continue,
            };
            let last = number + 1 == fragments;
            wire.extend(client_frame(OpCode::Data(kind), last, &payload[ends[0]..ends[1]], self.mask));
            expected.push(match &self.text {
                _ if !last => Message::Nop,
                Some(text) => Message::Text(text.as_str().into()),
                None => Message::Binary(Bytes::copy_from_slice(payload)),
            });
            if let Some((_, ping)) = self.ping_after.as_ref().filter(|_| ping_at == Some(number)) {
                wire.extend(client_frame(OpCode::Control(Control::Ping), true, ping, self.mask));
                expected.push(Message::Ping(Bytes::copy_from_slice(ping)));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_a_peer_sends_arrives_however_it_is_fragmented_and_read(
        sent in prop::collection::vec(sent(), 1..8),
        reads in prop::collection::vec(1_usize..5000, 1..20),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        sent.iter().for_each(|message| message.encode(&mut wire, &mut expected));
        let mut decoder = Decoder::new(70_000);
        let mut messages = Vec::new();
        let mut reads = reads.iter().cycle();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let (read, later) = rest.split_at((*reads.next().unwrap()).min(rest.len()));
            let (some, result) = decode_in(&mut decoder, read, usize::MAX);
            prop_assert_eq!(result, Ok(()));
            prop_assert!(decoder.buffered_bytes() <= 70_000 + OVERHEAD);
            messages.extend(some);
            rest = later;
        }
        prop_assert_eq!(messages, expected);
        prop_assert_eq!(decoder.buffered_bytes(), 0);
    }

    #[test]
    fn random_bytes_never_panic_nor_hold_more_than_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        valid_start in prop::sample::select(vec![&b""[..], &[0x01, 0x80, 0, 0, 0, 0], &[0x81, 0xfe], &[0x02, 0xfe, 1, 0]]),
        read_bytes in 1_usize..64,
        max_message_bytes in 0_usize..600,
    ) {
        let mut decoder = Decoder::new(max_message_bytes);
        for read in [valid_start, &bytes].concat().chunks(read_bytes) {
            // Continues after an error, which callers must not, to show that even this does no
            // harm.
            let _ = decode_in(&mut decoder, read, usize::MAX);
            prop_assert!(decoder.buffered_bytes() <= max_message_bytes + OVERHEAD);
        }
    }
}
