//! Owns a room's shared state: one JSON document, changed by merge patches (RFC 7396), bounded in
//! bytes. Numbers keep the digits that a patch wrote.

mod patch;
#[cfg(test)]
mod tests;
mod tree;

use std::{cell::OnceCell, collections::BTreeMap, rc::Rc};

use serde_json::{Value, value::RawValue};

pub(super) use self::patch::Patch;
use self::{patch::Changes, tree::Object};

/// The length of `{}`.
const EMPTY_BYTES: usize = 2;

/// A document without bound or `seq`: parsing, merging, writing.
#[derive(Debug)]
pub(super) struct Tree {
    root: Object,
    /// The text of a document that is not an object, as a logic or a log may have one. The first
    /// patch replaces it with an object.
    other: Option<Box<str>>,
    /// The exact length of the text, in bytes.
    bytes: usize,
}

/// The document and when it last changed.
pub(super) struct Document {
    /// `None`: `{}`, as in the many rooms that never get a patch.
    tree: Option<Box<Tree>>,
    /// The text, from the first time that it is asked for until the next patch.
    text: OnceCell<Rc<RawValue>>,
    /// The document as a `Value`, for a logic that asks for it. Once made, it follows each patch.
    view: OnceCell<Value>,
    /// The top-level field that the logic never reads. The view is without it.
    unread_field: Option<&'static str>,
    /// The `seq` of the last patch; 0 before the first (`if_seq`, 3.1).
    changed_at: u64,
    max_bytes: usize,
}

/// The patch would grow the document past its bound. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Default for Tree {
    fn default() -> Self {
        let root = Object::default();
        Self { bytes: root.bytes(), root, other: None }
    }
}

impl Tree {
    /// Returns whether this is `{}`.
    fn is_empty(&self) -> bool {
        self.other.is_none() && self.root.count() == 0
    }

    /// Returns `None` if the text is not JSON.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = serde_json::from_str::<&RawValue>(text).ok()?.get();
        let Some(changes) = Changes::of_document(text) else {
            return Some(Self { root: Object::default(), other: Some(text.into()), bytes: text.len() });
        };
        let mut root = Object::default();
        root.merge(&changes);
        let bytes = root.bytes();
        Some(Self { root, other: None, bytes })
    }

    /// Returns the length of the text after these changes.
    fn bytes_with(&self, changes: &Changes) -> usize {
        let before = if self.other.is_some() { Object::default().bytes() } else { self.bytes };
        before.saturating_add_signed(self.root.growth(changes))
    }

    fn apply(&mut self, changes: &Changes) {
        self.bytes = self.bytes_with(changes);
        self.other = None;
        self.root.merge(changes);
    }

    /// Merges without a bound.
    pub(super) fn merge(&mut self, patch: &Patch) {
        self.apply(patch.changes());
    }

    pub(super) fn to_raw(&self) -> Box<RawValue> {
        let text = RawValue::from_string(self.text());
        debug_assert!(text.is_ok());
        text.unwrap_or_default()
    }

    fn text(&self) -> String {
        match &self.other {
            Some(other) => other.as_ref().into(),
            None => {
                let mut text = String::with_capacity(self.bytes);
                self.root.write(&mut text);
                debug_assert_eq!(text.len(), self.bytes);
                text
            }
        }
    }
}

impl Document {
    pub(super) fn new(value: &Value, max_bytes: usize) -> Self {
        let tree = Tree::parse(&value.to_string()).unwrap_or_default();
        Self::restore(tree, 0, max_bytes)
    }

    /// Restores the document of a room that reopens. It may exceed the bound if the setting was
    /// lowered.
    pub(super) fn restore(tree: Tree, changed_at: u64, max_bytes: usize) -> Self {
        let tree = (!tree.is_empty()).then(|| Box::new(tree));
        Self { tree, text: OnceCell::new(), view: OnceCell::new(), unread_field: None, changed_at, max_bytes }
    }

    /// Leaves a top-level field out of the view ([`RoomLogic::unread_field`]).
    ///
    /// [`RoomLogic::unread_field`]: super::logic::RoomLogic::unread_field
    pub(super) fn with_unread_field(self, unread_field: Option<&'static str>) -> Self {
        Self { view: OnceCell::new(), unread_field, ..self }
    }

    /// Returns the text. It is written once between two patches.
    pub(super) fn text(&self) -> &Rc<RawValue> {
        self.text.get_or_init(|| match &self.tree {
            None => EMPTY.with(Rc::clone),
            Some(tree) => tree.to_raw().into(),
        })
    }

    /// Returns the document, without its unread field, as a `Value` for a logic. The first call
    /// makes it, which costs a map for each object.
    pub(super) fn view(&self) -> &Value {
        self.view.get_or_init(|| view_of(self.text().get(), self.unread_field).unwrap_or_default())
    }

    /// Returns the length of the text.
    pub(super) fn bytes(&self) -> usize {
        self.tree.as_ref().map_or(EMPTY_BYTES, |tree| tree.bytes)
    }

    pub(super) fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// Returns whether these patches, applied in order, keep the document within its bound.
    pub(super) fn has_room_for<'a>(&self, patches: impl Iterator<Item = &'a Patch>) -> bool {
        let mut changes = Changes::default();
        patches.for_each(|patch| changes.then(patch.changes()));
        self.is_within_bound(&changes)
    }

    /// A document over its bound may shrink, but not grow.
    fn is_within_bound(&self, changes: &Changes) -> bool {
        let bytes = match &self.tree {
            None => Tree::default().bytes_with(changes),
            Some(tree) => tree.bytes_with(changes),
        };
        bytes <= self.max_bytes.max(self.bytes())
    }

    /// Returns whether the document stays within its bound if it grows by `bytes`.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= self.max_bytes
    }

    /// Merges a patch that is event `seq`.
    ///
    /// # Errors
    /// [`TooLarge`]; the document is as before.
    pub(super) fn merge(&mut self, patch: &Patch, seq: u64) -> Result<(), TooLarge> {
        if !self.is_within_bound(patch.changes()) {
            return Err(TooLarge);
        }
        self.tree.get_or_insert_default().merge(patch);
        self.text.take();
        self.changed_at = seq;
        if let Some(view) = self.view.get_mut() {
            match view_of(patch.text().as_str(), self.unread_field) {
                Ok(patch) => merge(view, patch),
                Err(_) => drop(self.view.take()),
            }
        }
        Ok(())
    }
}

impl Patch {
    /// Merges into the `Value` of a logic. Does nothing if the patch's text is not a valid `Value`.
    pub(super) fn merge_into(&self, target: &mut Value) {
        if let Ok(patch) = self.text().decode() {
            merge(target, patch);
        }
    }
}

thread_local! {
    // All rooms of a thread share the text of a document that was never patched.
    static EMPTY: Rc<RawValue> = Tree::default().to_raw().into();
}

/// Returns the `Value` of a document or patch. The unread field of an object never becomes a
/// `Value`, not even for a moment: that can take a hundred times its text.
fn view_of(text: &str, unread_field: Option<&str>) -> serde_json::Result<Value> {
    let Some(unread_field) = unread_field.filter(|_| text.starts_with('{')) else {
        return serde_json::from_str(text);
    };
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    fields.remove(unread_field);
    let fields = fields.into_iter().map(|(name, value)| Ok((name, serde_json::from_str(value.get())?)));
    Ok(Value::Object(fields.collect::<serde_json::Result<_>>()?))
}

/// RFC 7396 section 2, on the `Value` of a logic. The JSON parser's depth limit (128) bounds the
/// recursion.
fn merge(target: &mut Value, patch: Value) {
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
