//! Owns the tests of documents: the results of merge patches, the exact size, the memory. They
//! compare with `serde_json` and the pseudo-code of RFC 7396.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::protocol::RawJson;

fn patch(text: &str) -> Patch {
    Patch::parse(RawJson::parse(text).expect("JSON")).expect("an object")
}

fn document(value: &Value, max_bytes: usize) -> Document {
    Document::new(value, max_bytes)
}

fn text(document: &Document) -> &str {
    document.text().get()
}

#[test]
fn merge_patch_does_what_the_examples_of_rfc_7396_show() {
    for (target, change, expected) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
    ] {
        let mut merged = document(&target, 1000);
        let view = merged.view().clone();
        assert_eq!(view, target);
        assert_eq!(merged.merge(&patch(&change.to_string()), 1), Ok(()));
        assert_eq!(serde_json::from_str::<Value>(text(&merged)).expect("JSON"), expected, "{target} + {change}");
        assert_eq!((merged.view(), merged.bytes()), (&expected, text(&merged).len()));
    }
    for other in ["[1]", "null", "7", r#""a""#] {
        assert!(Patch::parse(RawJson::parse(other).expect("JSON")).is_none(), "{other}");
    }
}

#[test]
fn a_document_keeps_every_digit_and_no_blank_of_what_a_patch_wrote() {
    let mut document = document(&json!({}), 1000);
    let written =
        r#"{ "a" : 1.0, "b":12345678901234567890123, "c":[1.50, "x \" y" , {"d" : -0}], "\u0061b":1e2, "ab":2 }"#;
    assert_eq!(document.merge(&patch(written), 1), Ok(()));
    let kept = r#"{"a":1.0,"ab":2,"b":12345678901234567890123,"c":[1.50,"x \" y",{"d":-0}]}"#;
    assert_eq!((text(&document), document.bytes()), (kept, kept.len()));
    let again = Tree::parse(kept).expect("JSON");
    assert_eq!(again.text(), kept);
}

#[test]
fn a_patch_past_the_bound_changes_nothing_and_shrinking_makes_room_again() {
    let mut document = document(&json!({}), 60);
    let big = json!({"a": "x".repeat(30)}).to_string();
    assert_eq!(document.merge(&patch(&big), 1), Ok(()));
    let more = json!({"b": "x".repeat(30)}).to_string();
    assert_eq!(document.merge(&patch(&more), 2), Err(TooLarge));
    assert_eq!((text(&document), document.changed_at()), (&*big, 1));
    assert_eq!(document.merge(&patch(r#"{"a":null}"#), 3), Ok(()));
    assert_eq!(document.merge(&patch(&more), 4), Ok(()));
    let mut over = Document::restore(Tree::parse(&more).expect("JSON"), 4, 10);
    assert_eq!(over.merge(&patch(r#"{"b":"xx"}"#), 5), Ok(()), "one that is over its bound may shrink");
    assert_eq!(over.merge(&patch(r#"{"b":"xxx"}"#), 6), Err(TooLarge));
}

#[test]
fn a_text_is_written_once_between_two_patches_and_stays_while_the_document_goes_on() {
    let mut document = document(&json!({"a": 1}), 1000);
    let (early, late) = (document.text().clone(), document.text().clone());
    assert!(Rc::ptr_eq(&early, &late), "written once for all");
    assert_eq!(document.merge(&patch(r#"{"a":2}"#), 1), Ok(()));
    assert_eq!((late.get(), text(&document)), (r#"{"a":1}"#, r#"{"a":2}"#));
}

/// Keys and values that collide, need escapes, and nest.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-20i64..20).prop_map(Value::from),
        r#"[a"\\\n]{0,20}"#.prop_map(Value::from),
        Just(json!([{"a": null}, "] }"])),
    ];
    leaf.prop_recursive(4, 60, 6, |inner| {
        proptest::collection::btree_map(r#"[ab"\\]{0,2}"#, inner, 0..6)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn json_object() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map(r#"[abc"\\]{0,2}"#, json_value(), 0..60)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patches_do_what_the_rfc_says_and_the_size_is_exact(
        start in json_value(),
        patches in proptest::collection::vec(json_object(), 1..8),
        max_bytes in 200usize..4000,
        pretty in any::<bool>(),
    ) {
        let mut tested = document(&start, max_bytes);
        let mut model = start;
        for change in patches {
            let written = if pretty { serde_json::to_string_pretty(&change) } else { serde_json::to_string(&change) };
            let mut merged = model.clone();
            merge(&mut merged, change);
            let fits = merged.to_string().len() <= max_bytes.max(model.to_string().len());
            prop_assert_eq!(tested.merge(&patch(&written.expect("JSON")), 1).is_ok(), fits);
            if fits {
                model = merged;
            }
            let said: Value = serde_json::from_str(text(&tested)).expect("JSON");
            prop_assert_eq!(&said, &model);
            prop_assert_eq!(tested.bytes(), text(&tested).len());
            prop_assert_eq!(Tree::parse(text(&tested)).expect("JSON").bytes, tested.bytes());
        }
    }

    #[test]
    fn what_patches_come_to_together_is_known_before_they_are_merged(
        start in json_value(),
        patches in proptest::collection::vec(json_object(), 1..5),
        max_bytes in 200usize..4000,
    ) {
        let patches: Vec<_> = patches.iter().map(|change| patch(&change.to_string())).collect();
        let document = document(&start, max_bytes);
        let mut tree = Tree::parse(&start.to_string()).expect("JSON");
        patches.iter().for_each(|patch| tree.merge(patch));
        let fits = tree.text().len() <= max_bytes.max(document.bytes());
        prop_assert_eq!(document.has_room_for(patches.iter()), fits);
    }

    #[test]
    fn text_that_is_no_json_is_no_patch_and_no_panic(text in r#"[{}\[\]",:\\a1 ]{0,30}"#) {
        let _ = Changes::of_document(&text);
    }
}

/// The memory of a chain of objects with one short field each, at six bytes of text per object,
/// depends on these sizes.
#[test]
fn a_link_of_nested_objects_stays_small() {
    assert_eq!((size_of::<tree::Object>(), size_of::<tree::Field>()), (24, 24));
}

#[test]
fn empty_documents_share_their_memory_until_a_patch_and_the_others_stay_empty() {
    let (mut one, other) = (document(&json!({}), 1000), document(&json!({}), 1000));
    let before = one.text().clone();
    assert!(Rc::ptr_eq(&before, other.text()));
    assert_eq!(one.merge(&patch(r#"{"a":1}"#), 1), Ok(()));
    assert_eq!(one.merge(&patch(r#"{"b":2}"#), 2), Ok(()));
    assert_eq!((text(&one), text(&other), before.get()), (r#"{"a":1,"b":2}"#, "{}", "{}"));
    assert_eq!(text(&document(&json!({}), 1000)), "{}");
}

#[test]
fn the_view_never_holds_the_unread_field() {
    let initial = json!({"strokes":{"a":[{}]},"chat":{"1":"hi"}});
    let mut document = document(&initial, 1000).with_unread_field(Some("strokes"));
    assert_eq!(document.view(), &json!({"chat":{"1":"hi"}}));
    document.merge(&patch(r#"{"strokes":{"b":[{}]},"chat":{"1":null,"2":"ho"}}"#), 1).expect("room");
    assert_eq!(document.view(), &json!({"chat":{"2":"ho"}}));
    document.merge(&patch(r#"{"strokes":null}"#), 2).expect("room");
    assert_eq!((document.view(), text(&document)), (&json!({"chat":{"2":"ho"}}), r#"{"chat":{"2":"ho"}}"#));
}
