//! Owns the messages of the measurements: what a publisher sends in bursts, prepared and masked,
//! and what members see of them.

use tokio::net::tcp::OwnedWriteHalf;

use super::kit::socket::{masked_text, number, put};

/// Digits of the time and of the number that begin the `data` of a message.
const TIME_DIGITS: usize = 13;
const ID_DIGITS: usize = 10;
/// Bytes of `data`, without its quotes.
pub const DATA_BYTES: usize = 64;
/// The first id: from here on they all have the same number of digits.
const FIRST_ID: u64 = 1_000_000_000;

/// A message that [`Bursts`] made, as a member sees it.
pub struct Seen {
    /// Nanoseconds, on the sender's clock.
    pub sent: u64,
    /// 0, 1, 2 … of one publisher.
    pub number: u64,
}

impl Seen {
    /// `None` for other frames. Relies on `data` being the last field.
    pub fn in_frame(frame: &[u8]) -> Option<Self> {
        let data = frame.strip_suffix(b"\"}")?;
        let (head, data) = data.split_at_checked(data.len().checked_sub(DATA_BYTES)?)?;
        if !head.ends_with(b"\"data\":\"") || !head.starts_with(b"{\"type\":\"message\"") {
            return None;
        }
        let (time, id) = data[..TIME_DIGITS + ID_DIGITS].split_at(TIME_DIGITS);
        Some(Self { sent: number(time)?, number: number(id)?.checked_sub(FIRST_ID)? })
    }
}

/// One publisher's `send` frames, prepared and masked; only digits are filled in.
pub struct Bursts {
    writer: OwnedWriteHalf,
    frame: Vec<u8>,
    id_at: usize,
    data_at: usize,
    out: Vec<u8>,
    /// Frames made so far, and so the next one's number.
    pub made: u64,
}

impl Bursts {
    pub fn new(writer: OwnedWriteHalf) -> Self {
        let data = format!("{:0>1$}{FIRST_ID}{2:x>3$}", 0, TIME_DIGITS, "", DATA_BYTES - TIME_DIGITS - ID_DIGITS);
        let text = format!(r#"{{"type":"send","id":{FIRST_ID},"data":"{data}"}}"#);
        let frame = masked_text(&text);
        let header = frame.len() - text.len();
        let find = |what: &str| text.find(what).map_or(0, |at| at + what.len() + header);
        let (id_at, data_at) = (find(r#""id":"#), find(r#""data":""#));
        Self { writer, frame, id_at, data_at, out: Vec::new(), made: 0 }
    }

    /// Sends so many messages in one write, stamped with this time; what the socket does not take
    /// waits for the next call. Zero sends only what waits. Returns whether all is written.
    pub fn send(&mut self, count: u64, now: u64) -> bool {
        for _ in 0..count {
            let id = FIRST_ID + self.made;
            put(&mut self.frame[self.id_at..][..ID_DIGITS], id);
            put(&mut self.frame[self.data_at..][..TIME_DIGITS], now);
            put(&mut self.frame[self.data_at + TIME_DIGITS..][..ID_DIGITS], id);
            self.out.extend_from_slice(&self.frame);
            self.made += 1;
        }
        // The reader notices if the connection has ended.
        if let Ok(written) = self.writer.try_write(&self.out) {
            self.out.drain(..written);
        }
        self.out.is_empty()
    }
}
