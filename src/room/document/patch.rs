//! Owns a merge patch (RFC 7396) as a list of changes, parsed from its text without losing a digit.

use ecow::EcoString;

use crate::protocol::RawJson;

/// A merge patch that is an object.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    text: RawJson,
    changes: Changes,
}

/// The changes to the fields of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Sorted by key, without duplicates.
    list: Vec<PatchEdit>,
    /// The object is made anew: its earlier fields go. Set only where several patches are combined.
    is_fresh: bool,
}

#[derive(Debug, Clone)]
pub(super) struct PatchEdit {
    /// A JSON string as `serde_json` writes it, so that equal keys have equal texts.
    pub key: EcoString,
    pub to: To,
}

#[derive(Debug, Clone)]
pub(super) enum To {
    Nothing,
    /// Any JSON value except an object, without blanks between its parts.
    Value(EcoString),
    Object(Changes),
}

impl Patch {
    /// Returns `None` if the text is not an object.
    pub(crate) fn parse(text: RawJson) -> Option<Self> {
        let changes = JsonReader { text: text.as_str(), at: 0, keeps_null: false }.only_object()?;
        Some(Self { text, changes })
    }

    /// Returns the patch as its sender wrote it.
    pub(crate) fn text(&self) -> &RawJson {
        &self.text
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl Changes {
    /// Returns the fields of a whole document, where `null` is an ordinary value. `None` if it is
    /// not an object.
    pub(super) fn of_document(text: &str) -> Option<Self> {
        JsonReader { text, at: 0, keeps_null: true }.only_object()
    }

    pub(super) fn list(&self) -> &[PatchEdit] {
        &self.list
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Combines these changes with the ones that follow them.
    pub(super) fn then(&mut self, next: &Self) {
        self.list.extend(next.list.iter().cloned());
        // The sort is stable: of equal keys, the earlier change stays in front.
        self.list.sort_by(|a, b| a.key.cmp(&b.key));
        self.list.dedup_by(|later, earlier| {
            let is_same = later.key == earlier.key;
            if is_same {
                let to = std::mem::replace(&mut later.to, To::Nothing);
                earlier.to = match (std::mem::replace(&mut earlier.to, To::Nothing), to) {
                    (To::Object(mut first), To::Object(second)) if !second.is_fresh => {
                        first.then(&second);
                        To::Object(first)
                    }
                    (_, To::Object(second)) => To::Object(Self { is_fresh: true, ..second }),
                    (_, to) => to,
                };
            }
            is_same
        });
    }

    fn of(mut list: Vec<PatchEdit>) -> Self {
        // Of a duplicate key, the last value counts, as in most parsers.
        list.reverse();
        list.sort_by(|a, b| a.key.cmp(&b.key));
        list.dedup_by(|later, earlier| later.key == earlier.key);
        Self { list, is_fresh: false }
    }
}

/// Parses text that is already known to be JSON. Any other text gives `None` or garbage, but never
/// a panic.
struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    keeps_null: bool,
}

impl<'a> JsonReader<'a> {
    fn only_object(&mut self) -> Option<Changes> {
        if self.peek()? == b'{' { self.object() } else { None }
    }

    /// Skips blanks and returns the next byte without consuming it.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().position(|byte| !is_blank(*byte))?;
        self.text.as_bytes().get(self.at).copied()
    }

    /// The depth limit of texts (P2) bounds the recursion.
    fn object(&mut self) -> Option<Changes> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let key = canonical(self.string()?)?;
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    list.push(PatchEdit { key, to: self.value()? });
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(Changes::of(list))
    }

    fn value(&mut self) -> Option<To> {
        Some(match self.peek()? {
            b'{' => To::Object(self.object()?),
            b'[' => To::Value(compact(self.array()?)),
            b'"' => To::Value(self.string()?.into()),
            _ => match self.word()? {
                "null" if !self.keeps_null => To::Nothing,
                word => To::Value(word.into()),
            },
        })
    }

    /// Reads a string, with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut at = start + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                self.at = at + 1;
                return self.text.get(start..self.at);
            }
            at += 2;
        }
    }

    fn array(&mut self) -> Option<&'a str> {
        let (start, mut depth) = (self.at, 0usize);
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
    }

    /// Reads a number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<&'a str> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let is_end = |byte: &u8| is_blank(*byte) || matches!(byte, b',' | b'}' | b']');
        self.at += rest.iter().position(is_end).unwrap_or(rest.len());
        self.text.get(start..self.at).filter(|word| !word.is_empty())
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Returns the key in the one form that `serde_json` writes.
fn canonical(key: &str) -> Option<EcoString> {
    if !key.contains('\\') {
        return Some(key.into());
    }
    let said: String = serde_json::from_str(key).ok()?;
    Some(serde_json::to_string(&said).ok()?.into())
}

/// Removes the blanks between the parts.
fn compact(json: &str) -> EcoString {
    if !json.bytes().any(is_blank) {
        return json.into();
    }
    let (mut compact, mut from, mut at) = (EcoString::new(), 0, 0);
    let mut reader = JsonReader { text: json, at: 0, keeps_null: true };
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => {
                reader.at = at;
                at = reader.string().map_or(json.len(), |string| at + string.len());
            }
            byte if is_blank(*byte) => {
                compact.push_str(&json[from..at]);
                at += 1;
                from = at;
            }
            _ => at += 1,
        }
    }
    compact.push_str(&json[from..]);
    compact
}
