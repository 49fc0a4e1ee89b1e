//! Owns the reading of YAML into texts, lists and maps, with values kept as they are written: a
//! tree of typed values would turn a secret made of digits into a float, and `off` into a boolean.

use granit_parser::{Event, Parser, ScalarStyle, Span};

pub(super) enum YamlNode {
    /// Empty for YAML's null, which is unset.
    Text(String),
    List(Vec<YamlNode>),
    /// Key, its line (from 1), value.
    Map(Vec<(String, usize, YamlNode)>),
}

/// The one document of a file, or `None` if there is none. Errors carry a line and what is wrong
/// there, never the file's text, which may be a secret.
pub(super) fn read(yaml: &str) -> Result<Option<YamlNode>, String> {
    let mut document = Document(Parser::new_from_str(yaml));
    let mut root = None;
    loop {
        match document.next()? {
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (Event::StreamEnd, _) => return Ok(root),
            (_, span) if root.is_some() => return Err(at(&span, "a second document")),
            (event, span) => root = Some(document.node(event, &span)?),
        }
    }
}

/// Nesting is bounded by the parser (255 collections of either style), so that recursion is too.
struct Document<'a>(Parser<'a, granit_parser::StrInput<'a>>);

impl<'a> Document<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.0.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.kind())),
            None => Err("ends too early".to_owned()),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<YamlNode, String> {
        match event {
            Event::Scalar(_, _, _, Some(_)) => {
                Err(at(span, "a value with a `!` tag; quote it if the `!` is part of it"))
            }
            Event::Scalar(text, style, _, None) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                Ok(YamlNode::Text(if null { String::new() } else { text.into_owned() }))
            }
            Event::SequenceStart(..) => {
                let mut nodes = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(YamlNode::List(nodes)),
                        (event, span) => nodes.push(self.node(event, &span)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        return Ok(YamlNode::Map(entries));
                    }
                    let YamlNode::Text(key) = self.node(event, &span)? else {
                        return Err(at(&span, "a key that is not a text"));
                    };
                    let (event, value_span) = self.next()?;
                    entries.push((key, span.start.line(), self.node(event, &value_span)?));
                }
            }
            _ => Err(at(span, "an anchor's alias; quote the value if the `*` is part of it")),
        }
    }
}

fn at(span: &Span, what: &str) -> String {
    format!("line {}: {what}", span.start.line())
}
