//! Owns the reading of single values of a JSON text by pointer (RFC 6901), without parsing the
//! rest, and the tests made of such readings.

use std::{borrow::Cow, cell::OnceCell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    config::feeds::{Expected, Matcher, Pointer},
    hub::access::fits,
    protocol::json::string,
};

/// One JSON value of a frame. Its fields are found once, however often they are read.
pub(super) struct JsonNode<'a> {
    raw: &'a RawValue,
    parts: OnceCell<Parts<'a>>,
}

enum Parts<'a> {
    Fields(Vec<(JsonText<'a>, &'a RawValue)>),
    Items(Vec<&'a RawValue>),
    None,
}

impl<'a> JsonNode<'a> {
    pub(super) fn new(raw: &'a RawValue) -> Self {
        Self { raw, parts: OnceCell::new() }
    }

    pub(super) fn raw(&self) -> &'a RawValue {
        self.raw
    }

    fn part(&self, name: &str) -> Option<&'a RawValue> {
        match self.parts.get_or_init(|| parts(self.raw)) {
            // If two fields have the same name, the last one counts, as in browsers.
            Parts::Fields(fields) => fields.iter().rev().find(|(field, _)| field.0 == name).map(|(_, raw)| *raw),
            Parts::Items(items) => {
                let is_index =
                    name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
                if is_index { items.get(name.parse::<usize>().ok()?).copied() } else { None }
            }
            Parts::None => None,
        }
    }
}

fn parts(raw: &RawValue) -> Parts<'_> {
    // The text was parsed as JSON before, so the only possible error is half a surrogate pair in a
    // name.
    match raw.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str(raw.get()).map_or(Parts::None, |ObjectFields(fields)| Parts::Fields(fields)),
        Some(b'[') => serde_json::from_str(raw.get()).map_or(Parts::None, Parts::Items),
        _ => Parts::None,
    }
}

/// A string, borrowed from the frame unless it has escapes.
pub(super) struct JsonText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = JsonText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<JsonText<'de>, E> {
                Ok(JsonText(text.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JsonText<'de>, E> {
                Ok(JsonText(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An object's fields in their order; the values are not parsed.
struct ObjectFields<'a>(Vec<(JsonText<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = ObjectFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectFields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(ObjectFields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Returns the text of a string, or another scalar as it is written. `None` for arrays and objects.
pub(super) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'{' | b'[' => None,
        b'"' => string(raw),
        _ => Some(raw.get().into()),
    }
}

/// An item and its frame; both are the same node if the frame is the item.
#[derive(Clone, Copy)]
pub(super) struct ItemPointer<'a, 'n> {
    pub item: &'n JsonNode<'a>,
    pub frame: &'n JsonNode<'a>,
}

/// A pointer, parsed into its segments.
#[derive(Debug, Clone)]
pub(super) struct Path {
    in_frame: bool,
    /// `None` if the text is no valid pointer; reading it finds nothing.
    segments: Option<Vec<String>>,
}

impl Path {
    pub(super) fn new(pointer: &Pointer) -> Self {
        Self { in_frame: pointer.in_frame, ..Self::of(&pointer.path) }
    }

    pub(super) fn of(path: &str) -> Self {
        let unescape = |segment: &str| segment.replace("~1", "/").replace("~0", "~");
        let segments = match path.strip_prefix('/') {
            Some(rest) => Some(rest.split('/').map(unescape).collect()),
            None => path.is_empty().then(Vec::new),
        };
        Self { in_frame: false, segments }
    }

    pub(super) fn all(pointers: &[Pointer]) -> Vec<Self> {
        pointers.iter().map(Self::new).collect()
    }

    pub(super) fn read<'a>(&self, place: ItemPointer<'a, '_>) -> Option<&'a RawValue> {
        self.read_in(if self.in_frame { place.frame } else { place.item })
    }

    pub(super) fn read_in<'a>(&self, node: &JsonNode<'a>) -> Option<&'a RawValue> {
        let Some((first, rest)) = self.segments.as_ref()?.split_first() else { return Some(node.raw) };
        rest.iter().try_fold(node.part(first)?, |raw, segment| JsonNode::new(raw).part(segment))
    }
}

/// A [`Matcher`] with parsed pointers.
#[derive(Debug, Clone)]
pub(super) struct Test(Vec<(Path, Expected)>);

impl Test {
    pub(super) fn all(matchers: &[Matcher]) -> Vec<Self> {
        let test = |Matcher(parts): &Matcher| {
            Self(parts.iter().map(|(pointer, expected)| (Path::new(pointer), expected.clone())).collect())
        };
        matchers.iter().map(test).collect()
    }

    /// Returns true if one of these tests holds.
    pub(super) fn any(tests: &[Self], place: ItemPointer<'_, '_>) -> bool {
        tests.iter().any(|test| test.holds(place))
    }

    fn holds(&self, place: ItemPointer<'_, '_>) -> bool {
        self.0.iter().all(|(path, expected)| {
            path.read(place).is_some_and(|raw| match expected {
                Expected::Present => true,
                Expected::Pattern(pattern) => scalar(raw).is_some_and(|said| fits(pattern.as_bytes(), said.as_bytes())),
                Expected::Text(text) => scalar(raw).is_some_and(|said| said == text.as_str()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn pointers_find_what_rfc_6901_says_in_the_very_bytes() {
        let node = JsonNode::new(raw(r#" {"a/b":{"m~n":[10, {"x":1.50}]},"":0,"d":1,"d":2,"\u0065v":"T"} "#));
        let find = |path: &str| Path::of(path).read_in(&node).map(RawValue::get);
        assert_eq!(find("/a~1b/m~0n/1/x"), Some("1.50"));
        assert_eq!(find("/a~1b/m~0n/1"), Some(r#"{"x":1.50}"#));
        assert_eq!(find("/"), Some("0"), "the field without a name");
        assert_eq!(find("/d"), Some("2"), "the last of two");
        assert_eq!(find("/ev"), Some(r#""T""#), "an escaped name");
        assert!(find("").is_some_and(|all| all.starts_with('{') && all.ends_with('}')));
        for nothing in ["/a", "/a~1b/m~0n/2", "/a~1b/m~0n/01", "/a~1b/m~0n/-", "/a~1b/m~0n/", "/d/0", "d", "ev"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn agrees_with_serde_json_on_every_pointer_into_an_odd_text() {
        let text = r#"{"a":[[],{},{"b":null,"c":[true,-0.5e3,"\u00e9\n"]}],"~":{"/":"x"}," ":[[["deep"]]]}"#;
        let (node, value) = (JsonNode::new(raw(text)), serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
        for path in
            ["", "/a", "/a/0", "/a/1/b", "/a/2/b", "/a/2/c/1", "/a/2/c/2", "/~0/~1", "/ /0/0/0", "/a/2/c/3", "/x"]
        {
            let found = Path::of(path).read_in(&node).map(|raw| serde_json::from_str(raw.get()).expect("JSON"));
            assert_eq!(found.as_ref(), value.pointer(path), "{path}");
        }
    }

    #[test]
    fn scalars_say_what_they_are_written_as_and_nothing_else_says_anything() {
        for (text, said) in [(r#""a\"b""#, "a\"b"), ("1.0", "1.0"), ("true", "true"), ("null", "null"), (r#""""#, "")] {
            assert_eq!(scalar(raw(text)).as_deref(), Some(said));
        }
        for text in ["[]", "{}", r#""\ud800""#] {
            assert_eq!(scalar(raw(text)), None, "{text}");
        }
    }

    #[test]
    fn a_matcher_holds_when_all_of_it_does_in_the_item_or_in_the_frame() {
        let pointer = |in_frame, path: &str| Pointer { in_frame, path: path.into() };
        let text = |text: &str| Expected::Text(text.into());
        let matcher = Matcher(vec![
            (pointer(true, "/channel"), text("status")),
            (pointer(false, "/code"), text("406")),
            (pointer(false, "/msg"), Expected::Present),
        ]);
        let tests = Test::all(&[matcher]);
        let holds = |frame: &str, item: &str| {
            Test::any(&tests, ItemPointer { item: &JsonNode::new(raw(item)), frame: &JsonNode::new(raw(frame)) })
        };
        assert!(holds(r#"{"channel":"status"}"#, r#"{"code":406,"msg":null}"#));
        assert!(holds(r#"{"channel":"status"}"#, r#"{"code":"406","msg":[]}"#));
        assert!(!holds(r#"{"channel":"status"}"#, r#"{"code":406}"#));
        assert!(!holds(r#"{"channel":"status"}"#, r#"{"code":4060,"msg":1}"#));
        assert!(!holds(r#"{}"#, r#"{"channel":"status","code":406,"msg":1}"#));
        assert!(!holds("[]", "7"), "neither needs to be an object");
    }
}
