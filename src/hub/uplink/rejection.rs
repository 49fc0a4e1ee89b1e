//! Owns the reading of rejections: which of the topics that were asked for the upstream says no to.

use super::{
    matcher::{ItemPointer, Path, Test, scalar},
    template::split,
};
use crate::{config::feeds, protocol::Topic};

/// A [`feeds::Rejection`] made ready for use.
pub struct RejectionRule {
    when: Vec<Test>,
    id: Option<Path>,
    topic: Option<Path>,
    name: Option<Path>,
    separator: String,
    unnamed: Vec<Test>,
    accepted: Vec<Test>,
}

impl RejectionRule {
    pub fn new(rejection: &feeds::Rejection, separator: &str) -> Self {
        let feeds::Rejection { when, id, topic, name, unnamed, accepted } = rejection;
        let [id, topic, name] = [id, topic, name].map(|pointer| pointer.as_ref().map(Path::new));
        let [when, unnamed, accepted] = [when, unnamed, accepted].map(|matchers| Test::all(matchers));
        Self { when, id, topic, name, separator: separator.to_owned(), unnamed, accepted }
    }

    /// Whether the item says no to a frame, and not to which.
    pub fn is_unnamed(&self, place: ItemPointer<'_, '_>) -> bool {
        Test::any(&self.unnamed, place)
    }

    /// Whether the item says yes to the oldest frame that has no answer.
    pub fn is_accepted(&self, place: ItemPointer<'_, '_>) -> bool {
        Test::any(&self.accepted, place)
    }

    /// Whether each frame has an answer of its own.
    pub fn is_answered(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Whether a topic that was asked for in the frame of this number is rejected by the item. `None`: the item is no rejection.
    pub fn read<'a>(&self, place: ItemPointer<'a, '_>) -> Option<impl Fn(&Topic, u64) -> bool + use<'_, 'a>> {
        // What should say it and is not there says no topic.
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

/// `Invalid symbol AAPL` ends in `AAPL`, and so does `AAPL`.
fn ends_in(text: &str, name: &str) -> bool {
    text.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(' '))
}
