//! Owns the reading of rejections: which of the requested topics the upstream rejects.

use super::{
    matcher::{ItemPointer, Path, Test, scalar},
    template::split,
};
use crate::{config::feeds, protocol::Topic};

/// A [`feeds::Rejection`], prepared for use.
pub(super) struct RejectionRule {
    when: Vec<Test>,
    id: Option<Path>,
    topic: Option<Path>,
    name: Option<Path>,
    separator: String,
    unnamed: Vec<Test>,
    accepted: Vec<Test>,
}

impl RejectionRule {
    pub(super) fn new(rejection: &feeds::Rejection, separator: &str) -> Self {
        let feeds::Rejection { when, id, topic, name, unnamed, accepted } = rejection;
        let [id, topic, name] = [id, topic, name].map(|pointer| pointer.as_ref().map(Path::new));
        let [when, unnamed, accepted] = [when, unnamed, accepted].map(|matchers| Test::all(matchers));
        Self { when, id, topic, name, separator: separator.to_owned(), unnamed, accepted }
    }

    /// Returns true if the item rejects a frame without naming which.
    pub(super) fn is_unnamed(&self, place: ItemPointer<'_, '_>) -> bool {
        Test::any(&self.unnamed, place)
    }

    /// Returns true if the item accepts the oldest frame that has no answer.
    pub(super) fn is_accepted(&self, place: ItemPointer<'_, '_>) -> bool {
        Test::any(&self.accepted, place)
    }

    /// Returns true if the upstream answers each frame.
    pub(super) fn is_answered(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Returns a test whether the item rejects a topic that was asked for in the frame of this
    /// number. `None` if the item is no rejection.
    pub(super) fn read<'a>(&self, place: ItemPointer<'a, '_>) -> Option<impl Fn(&Topic, u64) -> bool + use<'_, 'a>> {
        // A pointer that finds nothing reads as empty text, which matches no topic.
        let text =
            |path: &Option<Path>| path.as_ref().map(|path| path.read(place).and_then(scalar).unwrap_or_default());
        let (id, topic, name) = (text(&self.id), text(&self.topic), text(&self.name));
        Test::any(&self.when, place).then_some(move |asked: &Topic, frame: u64| {
            id.as_ref().is_none_or(|id| id.parse() == Ok(frame))
                && topic.as_ref().is_none_or(|text| ends_in(text, asked.as_str()))
                && name.as_ref().is_none_or(|text| ends_in(text, split(&self.separator, asked).1))
        })
    }
}

/// True for `Invalid symbol AAPL` and for `AAPL` with the name `AAPL`.
fn ends_in(text: &str, name: &str) -> bool {
    text.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(' '))
}
