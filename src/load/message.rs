//! Owns the messages of a load: each carries its sender, its number and the time at which it was
//! due, and is read back without parsing the JSON around it.

use serde::Deserialize;

/// What a message carries: `"~SENDER.NUMBER.DUE.…"` is its `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The index of the sender in its room.
    pub sender: u32,
    /// 1, 2, 3 … for each sender; also the frame's `id`.
    pub number: u32,
    /// When it was to be sent, in nanoseconds since the run began.
    pub due: u64,
}

/// A message that reached a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoadMessage {
    pub seq: u64,
    pub stamp: Stamp,
}

/// The longest stamp.
#[cfg(test)]
const STAMP_BYTES: usize = 1 + 10 + 1 + 10 + 1 + 20 + 1;

/// Writes the `send` frame of a message with `bytes` characters of data, or more if the stamp is
/// longer: it takes at most 44.
pub(super) fn write(out: &mut Vec<u8>, stamp: Stamp, bytes: usize) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(br#"{"type":"send","id":"#);
    out.extend_from_slice(digits.format(stamp.number).as_bytes());
    out.extend_from_slice(br#","data":"~"#);
    let begin = out.len() - 1;
    for number in [u64::from(stamp.sender), u64::from(stamp.number), stamp.due] {
        out.extend_from_slice(digits.format(number).as_bytes());
        out.push(b'.');
    }
    out.resize(out.len().max(begin + bytes), b'x');
    out.extend_from_slice(br#""}"#);
}

/// Reads a message as the server writes it:
/// `{"type":"message","seq":…,"from":"…","id":…,"data":"~…"}`. Returns `None` for every other
/// frame, and for a message in another form: see [`read_any`].
pub(super) fn read(text: &[u8], bytes: usize) -> Option<LoadMessage> {
    let rest = text.strip_prefix(br#"{"type":"message","seq":"#)?;
    let (seq, rest) = number(rest)?;
    let rest = rest.strip_prefix(br#","from":""#)?;
    let rest = &rest[memchr::memchr(b'"', rest)? + 1..];
    let (id, rest) = number(rest.strip_prefix(br#","id":"#)?)?;
    let data = rest.strip_prefix(br#","data":""#)?.strip_suffix(br#""}"#)?;
    let stamp = stamp(data, bytes)?;
    (id == u64::from(stamp.number)).then_some(LoadMessage { seq, stamp })
}

/// As [`read`], for any order of the fields and any spelling of the JSON.
pub(super) fn read_any(text: &[u8], bytes: usize) -> Option<LoadMessage> {
    #[derive(Deserialize)]
    struct Message {
        r#type: String,
        seq: u64,
        id: u64,
        data: String,
    }
    let message: Message = serde_json::from_slice(text).ok()?;
    let stamp = stamp(message.data.as_bytes(), bytes)?;
    let is_ours = message.r#type == "message" && message.id == u64::from(stamp.number);
    is_ours.then_some(LoadMessage { seq: message.seq, stamp })
}

/// Reads the stamp of data that is as long as it was written, or `None` if the data was changed.
fn stamp(data: &[u8], bytes: usize) -> Option<Stamp> {
    let (sender, rest) = number(data.strip_prefix(b"~")?)?;
    let (count, rest) = number(rest.strip_prefix(b".")?)?;
    let (due, rest) = number(rest.strip_prefix(b".")?)?;
    let filler = rest.strip_prefix(b".")?;
    let is_whole = data.len() == bytes.max(data.len() - filler.len()) && filler.iter().all(|byte| *byte == b'x');
    let (sender, number) = (u32::try_from(sender).ok()?, u32::try_from(count).ok()?);
    is_whole.then_some(Stamp { sender, number, due })
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            _ => return (index > 0).then_some((value, &text[index..])),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { sender: 3, number: 17, due: 1_234_567 };

    /// The frame that a server makes of a `send`.
    fn delivered(bytes: usize) -> String {
        let mut sent = Vec::new();
        write(&mut sent, STAMP, bytes);
        let sent = String::from_utf8(sent).unwrap();
        let (_, data) = sent.split_once(r#""data":"#).unwrap();
        format!(r#"{{"type":"message","seq":42,"from":"p3","id":17,"data":{data}"#)
    }

    #[test]
    fn a_message_of_any_length_is_read_back() {
        for bytes in [1, 16, STAMP_BYTES, 64, 70_000] {
            let text = delivered(bytes);
            let expected = Some(LoadMessage { seq: 42, stamp: STAMP });
            assert_eq!(read(text.as_bytes(), bytes), expected, "{text}");
            let other = format!("{{ {} , \"type\":\"message\"}}", &text[18..text.len() - 1]);
            assert_eq!((read(other.as_bytes(), bytes), read_any(other.as_bytes(), bytes)), (None, expected));
        }
    }

    #[test]
    fn a_changed_message_is_not_read() {
        let text = delivered(64);
        for (from, to) in [("x", "y"), ("xx", "x"), ("\"id\":17", "\"id\":18"), ("~3.", "3."), ("message", "patch")] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_eq!(read(changed.as_bytes(), 64), None, "{changed}");
            assert_eq!(read_any(changed.as_bytes(), 64), None, "{changed}");
        }
    }
}
