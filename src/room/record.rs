//! Owns the format of a room's log: its records, and the image of a whole room in a snapshot.
//!
//! The bytes are postcard's, whose wire format is stable. They outlive the program that wrote them:
//! variants of a record and their fields are never changed or removed, and new variants are added
//! at the end. An image names its version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{audience::Audience, bans::Ban, lineage::Life, seats::SecretHash};
use crate::{
    protocol::{DisplayName, PlayerId},
    store::{AppliedKey, BodyHash, KnownKey, encode},
};

/// One record of a room's log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum RoomRecord<'a> {
    #[serde(borrow)]
    Event(EventRecord<'a>),
    /// The seat after a change.
    Seat(SeatRecord),
    /// The seat was removed.
    Left(PlayerId),
    /// The room was opened again.
    Opened(Life),
    /// The preceding event was appended with an idempotency key. Only older versions write this.
    Key(AppliedKey),
    /// A ban starts, changes or ends (S13).
    Ban(Ban),
    /// A crowd ended when this `seq` was the newest (S9a).
    CrowdOver(u64),
    /// As `Key`, with the hash of the request's body.
    KeyedBody(AppliedKey, BodyHash),
    /// A player's display name changed (S11).
    Name(SeatName),
    /// An event that shows a display name to the members that want names (S11).
    Named {
        #[serde(borrow)]
        event: EventRecord<'a>,
        name: DisplayName,
    },
}

/// A player's display name, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeatName {
    pub player: PlayerId,
    pub name: DisplayName,
}

/// An event, with the JSON text that its members get.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventRecord<'a> {
    pub seq: u64,
    /// Milliseconds since 1970.
    pub made_ms: u64,
    /// The event changes the document. Recovery merges it.
    pub is_patch: bool,
    pub audience: Cow<'a, Audience>,
    pub request: Option<(PlayerId, u64)>,
    #[serde(with = "serde_bytes", borrow)]
    pub text: &'a [u8],
}

/// A session, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeatRecord {
    pub player: PlayerId,
    pub secret: SecretHash,
    pub last_id: u64,
    /// The life of the room in which the player was last welcomed.
    pub life: u64,
    /// Milliseconds since 1970; `None` while connected.
    pub away_until_ms: Option<u64>,
}

/// A room at a position of its log: the result of all records before it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoomImage<'a> {
    pub epoch: Cow<'a, str>,
    pub seq: u64,
    pub lives: Cow<'a, [Life]>,
    /// JSON.
    pub document: Cow<'a, str>,
    /// The `seq` of the last patch.
    pub changed_at: u64,
    pub seats: Vec<SeatRecord>,
    /// When the room was first created, in milliseconds since 1970.
    pub begun_ms: u64,
    /// Oldest first.
    pub keys: Vec<AppliedKey>,
    #[serde(skip)]
    pub more: More,
    /// The body hash of each key, in the order of `keys`. Written since version 3, behind `more`.
    #[serde(skip)]
    pub bodies: Vec<Option<BodyHash>>,
    /// The display names of the seats that have one. Written since version 4, behind `bodies`.
    #[serde(skip)]
    pub names: Vec<SeatName>,
}

/// The fields added in version 2, behind all earlier ones.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct More {
    pub bans: Vec<Ban>,
    /// See [`RoomRecord::CrowdOver`]; 0 if there was none.
    pub crowd_over: u64,
}

impl RoomRecord<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        encode(self, out);
    }

    /// Returns `None` if the bytes are not a record.
    pub(crate) fn read(bytes: &[u8]) -> Option<RoomRecord<'_>> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The first byte of an image. Fields are only added, at the end and with a new version. Images of
/// older versions are still read.
const IMAGE_VERSION: u8 = 4;

impl RoomImage<'_> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![IMAGE_VERSION];
        encode(self, &mut bytes);
        encode(&self.more, &mut bytes);
        encode(&self.bodies, &mut bytes);
        encode(&self.names, &mut bytes);
        bytes
    }

    /// Returns the keys with the body hashes that were recorded.
    pub(super) fn known_keys(&self) -> Vec<KnownKey> {
        let bodies = self.bodies.iter().copied().chain(std::iter::repeat(None));
        self.keys.iter().copied().zip(bodies).collect()
    }

    /// Returns `None` if the bytes are not an image.
    pub(super) fn read(bytes: &[u8]) -> Option<RoomImage<'_>> {
        let (version, fields) = bytes.split_first()?;
        let (mut image, rest) = postcard::take_from_bytes::<RoomImage<'_>>(fields).ok()?;
        match version {
            1 => {}
            2 => image.more = postcard::from_bytes(rest).ok()?,
            3 => (image.more, image.bodies) = postcard::from_bytes(rest).ok()?,
            4 => (image.more, image.bodies, image.names) = postcard::from_bytes(rest).ok()?,
            _ => return None,
        }
        Some(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        room::{lineage::Life, seats::SecretHash},
        store::KeyHash,
    };

    /// The bytes of older versions must stay readable, so the bytes in this test may not change.
    #[test]
    fn the_format_is_what_it_was() {
        let player = PlayerId::parse("bob").expect("an id");
        let seat = SeatRecord { player, secret: SecretHash::of("s"), last_id: 7, life: 300, away_until_ms: Some(1) };
        let mut bytes = Vec::new();
        RoomRecord::Seat(seat.clone()).write(&mut bytes);
        assert_eq!((&bytes[..5], &bytes[37..]), (&b"\x01\x03bob"[..], &b"\x07\xac\x02\x01\x01"[..]));
        let key = AppliedKey { key: KeyHash::of("k"), seq: 300, made_ms: 1 };
        let mut bytes = Vec::new();
        RoomRecord::Key(key).write(&mut bytes);
        assert_eq!((&bytes[..3], &bytes[17..]), (&b"\x04\x82\x54"[..], &b"\xac\x02\x01"[..]));
        let mut bytes = Vec::new();
        RoomRecord::KeyedBody(key, BodyHash::of(b"{}")).write(&mut bytes);
        assert_eq!((&bytes[..3], &bytes[17..22]), (&b"\x07\x82\x54"[..], &b"\xac\x02\x01\x44\x13"[..]));
        let lives = [Life { id: 1, start: 0 }];
        let image = RoomImage {
            epoch: "e".into(),
            seq: 2,
            lives: lives[..].into(),
            document: "{}".into(),
            changed_at: 1,
            seats: vec![seat],
            begun_ms: 300,
            keys: vec![key],
            more: More::default(),
            bodies: Vec::new(),
            names: Vec::new(),
        };
        let bytes = image.to_bytes();
        assert_eq!(&bytes[..14], b"\x04\x01e\x02\x01\x01\x00\x02{}\x01\x01\x03b");
        let (first, later) = bytes.split_at(bytes.len() - 4);
        assert_eq!(later, b"\x00\x00\x00\x00");
        let (begun, rest) = first[first.len() - 22..].split_at(3);
        assert_eq!((begun, &rest[16..]), (&b"\xac\x02\x01"[..], &b"\xac\x02\x01"[..]));
        assert_eq!(RoomImage::read(&bytes).as_ref(), Some(&image));
        // Images of the versions 1 to 3 lack the fields added later.
        let first = [b"\x01", &first[1..]].concat();
        let second = [b"\x02", &bytes[1..bytes.len() - 2]].concat();
        let third = [b"\x03", &bytes[1..bytes.len() - 1]].concat();
        for older in [&first, &second, &third] {
            let read = RoomImage::read(older).expect("an image");
            assert_eq!((&read, read.known_keys()), (&image, vec![(key, None)]));
        }
        let ban = Ban { player: PlayerId::parse("eve").expect("an id"), until_ms: 300 };
        let mut bytes = Vec::new();
        RoomRecord::Ban(ban.clone()).write(&mut bytes);
        assert_eq!(bytes, b"\x05\x03eve\xac\x02");
        let mut bytes = Vec::new();
        RoomRecord::CrowdOver(300).write(&mut bytes);
        assert_eq!(bytes, b"\x06\xac\x02");
        let body = BodyHash::of(b"{}");
        let image = RoomImage { more: More { bans: vec![ban], crowd_over: 300 }, bodies: vec![Some(body)], ..image };
        let bytes = image.to_bytes();
        let (before, bodies) = bytes.split_at(bytes.len() - 19);
        assert!(before.ends_with(b"\x01\x03eve\xac\x02\xac\x02") && bodies.starts_with(b"\x01\x01\x44\x13"));
        let read = RoomImage::read(&bytes).expect("an image");
        assert_eq!((&read, read.known_keys()), (&image, vec![(key, Some(body))]));
        let name = |name| DisplayName::parse(name).expect("a name");
        let bob = SeatName { player: PlayerId::parse("bob").expect("an id"), name: name("B") };
        let mut bytes = Vec::new();
        RoomRecord::Name(bob.clone()).write(&mut bytes);
        assert_eq!(bytes, b"\x08\x03bob\x01B");
        let audience = Cow::Owned(Audience::Everyone);
        let event = EventRecord { seq: 300, made_ms: 1, is_patch: false, audience, request: None, text: b"{}" };
        let mut bytes = Vec::new();
        RoomRecord::Named { event, name: name("🐺") }.write(&mut bytes);
        assert_eq!(bytes, b"\x09\xac\x02\x01\x00\x00\x00\x02{}\x04\xf0\x9f\x90\xba");
        let image = RoomImage { names: vec![bob], ..image };
        let bytes = image.to_bytes();
        assert!(bytes.ends_with(b"\x01\x03bob\x01B"));
        assert_eq!(RoomImage::read(&bytes), Some(image));
    }

    #[test]
    fn what_is_cut_or_of_an_unknown_kind_is_no_record() {
        let mut bytes = Vec::new();
        RoomRecord::Opened(Life { id: u64::MAX, start: 5 }).write(&mut bytes);
        assert!(RoomRecord::read(&bytes).is_some());
        assert!((0..bytes.len()).all(|end| RoomRecord::read(&bytes[..end]).is_none()));
        assert!(
            RoomRecord::read(&[200, 1, 2, 3]).is_none()
                && RoomImage::read(&[9, 0]).is_none()
                && RoomImage::read(&[]).is_none()
        );
    }
}
