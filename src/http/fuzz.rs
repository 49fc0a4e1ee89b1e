//! Owns the fuzzer of what an upgrade's request line says.

use super::upgrade::parse_target;
use crate::{
    gate::credentials::{find_token, offered_subprotocols, query_value},
    protocol::{DisplayName, number::integer_in_query},
};

/// A path with a query, and behind a line break the offered subprotocols.
pub fn upgrade(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, protocols) = data.split_at(at);
    let Ok(line) = std::str::from_utf8(line) else { return };
    let (path, query) = line.split_once('?').map_or((line, None), |(path, query)| (path, Some(query)));
    let offered = offered_subprotocols([protocols].into_iter());
    let _ = (parse_target(path, query), find_token(None, &offered, query, path.starts_with("/proxy")));
    let value = |name| query.and_then(|query| query_value(query, name));
    let _ = value("seq").map(|seq| integer_in_query(&seq));
    let _ = value("name").map(|name| DisplayName::parse(&name));
}
