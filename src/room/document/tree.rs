//! Owns the objects of a document: a tree whose memory is proportional to its text, whatever the
//! text holds. Values other than objects have no parts for a merge patch (RFC 7396), so they are
//! kept as text.

use std::{borrow::Borrow, cmp::Ordering, collections::BTreeSet};

use ecow::EcoString;

use super::patch::{Changes, To};

/// Up to this many fields, an object is a sorted list: a search tree takes several hundred bytes
/// for its first field.
const FEW: usize = 32;

/// One object.
#[derive(Debug)]
pub(super) enum Object {
    /// Sorted by key.
    Few(Vec<Field>),
    /// Boxed, so that small objects do not pay for the size of a tree.
    #[allow(clippy::box_collection)]
    Many(Box<BTreeSet<Field>>),
}

/// One field of an object.
#[derive(Debug)]
pub(super) struct Field {
    /// `"key":value`, or only `"key":` if the value is `child`.
    text: EcoString,
    /// The value, if it is an object with fields.
    child: Option<Box<Object>>,
}

impl Field {
    fn value(key: &str, value: &str) -> Self {
        let mut text = EcoString::with_capacity(key.len() + 1 + value.len());
        text.push_str(key);
        text.push(':');
        text.push_str(value);
        Self { text, child: None }
    }

    fn object(key: &str, child: Object) -> Self {
        if child.count() == 0 {
            return Self::value(key, "{}");
        }
        Self { child: Some(Box::new(child)), ..Self::value(key, "") }
    }

    /// Returns the key, with its quotes.
    fn key(&self) -> &str {
        &self.text[..key_length(&self.text)]
    }

    /// Returns the value if it is an object.
    fn into_object(self) -> Option<Object> {
        match self.child {
            Some(child) => Some(*child),
            None => self.is_empty_object().then(Object::default),
        }
    }

    fn is_empty_object(&self) -> bool {
        self.child.is_none() && self.text[key_length(&self.text)..] == *":{}"
    }

    /// Returns the length of the field's text.
    fn bytes(&self) -> usize {
        self.text.len() + self.child.as_ref().map_or(0, |child| child.bytes())
    }
}

impl Borrow<str> for Field {
    fn borrow(&self) -> &str {
        self.key()
    }
}

impl Ord for Field {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl PartialOrd for Field {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Field {}

/// Returns the length of the JSON string at the start of `text`.
fn key_length(text: &str) -> usize {
    let mut at = 1;
    let bytes = text.as_bytes();
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))) {
        at += step;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

impl Default for Object {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Object {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Few(fields) => fields.len(),
            Self::Many(fields) => fields.len(),
        }
    }

    fn get(&self, key: &str) -> Option<&Field> {
        match self {
            Self::Few(fields) => fields.binary_search_by(|field| field.key().cmp(key)).ok().map(|at| &fields[at]),
            Self::Many(fields) => fields.get(key),
        }
    }

    fn take(&mut self, key: &str) -> Option<Field> {
        match self {
            Self::Few(fields) => fields.binary_search_by(|field| field.key().cmp(key)).ok().map(|at| fields.remove(at)),
            Self::Many(fields) => {
                let taken = fields.take(key);
                // Far below the bound, so that an object whose size stays near it is not rebuilt
                // repeatedly.
                if fields.len() < FEW / 2 {
                    *self = Self::Few(std::mem::take(&mut **fields).into_iter().collect());
                }
                taken
            }
        }
    }

    fn put(&mut self, field: Field) {
        match self {
            Self::Few(fields) => match fields.binary_search(&field) {
                Ok(at) => fields[at] = field,
                Err(at) if fields.len() < FEW => {
                    if fields.len() == fields.capacity() {
                        fields.reserve_exact(1 + fields.len() / 4);
                    }
                    fields.insert(at, field);
                }
                Err(_) => {
                    let mut many: BTreeSet<_> = std::mem::take(fields).into_iter().collect();
                    many.insert(field);
                    *self = Self::Many(Box::new(many));
                }
            },
            Self::Many(fields) => drop(fields.replace(field)),
        }
    }

    fn for_each<'a>(&'a self, visit: impl FnMut(&'a Field)) {
        match self {
            Self::Few(fields) => fields.iter().for_each(visit),
            Self::Many(fields) => fields.iter().for_each(visit),
        }
    }

    /// Returns the length of the text.
    pub(super) fn bytes(&self) -> usize {
        let mut bytes = 2 + self.count().saturating_sub(1);
        self.for_each(|field| bytes += field.bytes());
        bytes
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('{');
        let mut is_first = true;
        self.for_each(|field| {
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            out.push_str(&field.text);
            if let Some(child) = &field.child {
                child.write(out);
            }
        });
        out.push('}');
    }

    /// RFC 7396 section 2. The depth limit of a patch bounds the recursion.
    pub(super) fn merge(&mut self, changes: &Changes) {
        for change in changes.list() {
            match &change.to {
                To::Nothing => drop(self.take(&change.key)),
                To::Value(value) => self.put(Field::value(&change.key, value)),
                To::Object(inner) => {
                    let old = self.take(&change.key).filter(|_| !inner.is_fresh());
                    let mut child = old.and_then(Field::into_object).unwrap_or_default();
                    child.merge(inner);
                    self.put(Field::object(&change.key, child));
                }
            }
        }
    }

    /// Returns by how much the text would grow. Reads only the fields that the changes replace.
    pub(super) fn growth(&self, changes: &Changes) -> isize {
        growth(Some(self), changes)
    }
}

/// As [`Object::growth`]. `None` stands for an object without fields.
fn growth(object: Option<&Object>, changes: &Changes) -> isize {
    let count = object.map_or(0, Object::count) as isize;
    let (mut bytes, mut fields) = (0, count);
    for change in changes.list() {
        let old = object.and_then(|object| object.get(&change.key));
        let old_bytes = || old.map_or(0, |field| field.bytes() as isize);
        let name = change.key.len() as isize + 1;
        let (is_there, grown) = match &change.to {
            To::Nothing => (false, -old_bytes()),
            To::Value(value) => (true, name + value.len() as isize - old_bytes()),
            To::Object(inner) => match old {
                Some(Field { child: Some(child), .. }) if !inner.is_fresh() => (true, growth(Some(child), inner)),
                Some(field) if field.is_empty_object() => (true, growth(None, inner)),
                _ => (true, name + 2 + growth(None, inner) - old_bytes()),
            },
        };
        bytes += grown;
        fields += isize::from(is_there) - isize::from(old.is_some());
    }
    let commas = |fields: isize| (fields - 1).max(0);
    bytes + commas(fields) - commas(count)
}
