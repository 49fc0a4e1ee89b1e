//! Owns the fuzzers of what rooms read: records and images of the store, and patches.

use bytestring::ByteString;
use serde_json::Value;

use super::{
    document::{Document, Patch},
    record::{RoomImage, RoomRecord},
};
use crate::protocol::{ClientFrame, Dialect, EventRequest, RoomRequest};

/// A record or an image from a disk. Whatever is read is written again as it was understood.
pub fn records(data: &[u8]) {
    if let Some(record) = RoomRecord::read(data) {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        assert!(RoomRecord::read(&bytes).is_some(), "what was written cannot be read");
    }
    if let Some(image) = RoomImage::read(data) {
        let _ = image.known_keys();
        assert!(RoomImage::read(&image.to_bytes()).is_some(), "what was written cannot be read");
    }
}

/// Patches of players, a line each, merged into one document. The document's text and its view stay
/// the same value.
pub fn document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut document = Document::new(&Value::Null, 64 * 1024);
    for (line, seq) in text.lines().zip(1..) {
        let frame = ByteString::from(format!(r#"{{"type":"patch","patch":{line}}}"#));
        let Ok(ClientFrame::Room(RoomRequest::Append { event: EventRequest::Patch { patch, .. }, .. })) =
            ClientFrame::parse(&frame, Dialect::Game)
        else {
            continue;
        };
        let Some(patch) = Patch::parse(patch) else { continue };
        let _ = document.view();
        if document.merge(&patch, seq).is_err() {
            continue;
        }
        let text = document.text().get().to_owned();
        assert_eq!(text.len(), document.bytes());
        let parsed: Value = serde_json::from_str(&text).expect("the text is JSON");
        assert_eq!(document.view(), &parsed);
    }
}
