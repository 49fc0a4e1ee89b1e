//! Owns a room's shared state: one JSON document, changed by merge patches (RFC 7396), bounded in bytes.
//! Called by `room::state`.

use serde_json::Value;

/// The document and when it last changed.
pub struct Document {
    value: Value,
    /// `seq` of the last patch; 0 before the first (`if_seq`, 3.1).
    changed_at: u64,
    /// Never less than the document's true size, so that the size is only measured when it might be over.
    at_most_bytes: usize,
    max_bytes: usize,
}

/// The patch would grow the document past its bound; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Document {
    pub fn new(value: Value, max_bytes: usize) -> Self {
        let at_most_bytes = size(&value);
        Self { value, changed_at: 0, at_most_bytes, max_bytes }
    }

    /// The document of a room that is open again; it may be longer than the bound is now.
    pub fn restore(value: Value, changed_at: u64, max_bytes: usize) -> Self {
        Self { changed_at, ..Self::new(value, max_bytes) }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Never less than the length of the text.
    pub fn at_most_bytes(&self) -> usize {
        self.at_most_bytes
    }

    pub fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// Merges a patch that is event `seq`.
    ///
    /// # Errors
    /// [`TooLarge`]; the document is as before.
    pub fn merge(&mut self, patch: Value, seq: u64) -> Result<(), TooLarge> {
        // Not the length of the text it came in: there a number may be shorter than it will be written here (1e15).
        let at_most = self.at_most_bytes + size(&patch);
        if at_most > self.max_bytes {
            let mut merged = self.value.clone();
            merge(&mut merged, patch);
            let bytes = size(&merged);
            if bytes > self.max_bytes {
                return Err(TooLarge);
            }
            (self.value, self.at_most_bytes) = (merged, bytes);
        } else {
            merge(&mut self.value, patch);
            self.at_most_bytes = at_most;
        }
        self.changed_at = seq;
        Ok(())
    }
}

/// RFC 7396 section 2. Recursion is bounded by the depth the JSON parser allows (128).
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

fn size(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patch_does_what_the_examples_of_rfc_7396_show() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, expected, "{target} + {patch}");
        }
    }

    #[test]
    fn a_patch_past_the_bound_changes_nothing_and_shrinking_makes_room_again() {
        let mut document = Document::new(json!({}), 60);
        let big = json!({"a": "x".repeat(30)});
        assert_eq!(document.merge(big.clone(), 1), Ok(()));
        let more = json!({"b": "x".repeat(30)});
        assert_eq!(document.merge(more.clone(), 2), Err(TooLarge));
        assert_eq!((document.value(), document.changed_at()), (&big, 1));
        let gone = json!({"a": null});
        assert_eq!(document.merge(gone.clone(), 3), Ok(()));
        assert_eq!(document.merge(more.clone(), 4), Ok(()));
    }
}
