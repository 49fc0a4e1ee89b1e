//! Owns the parsing of settings by prefixes of games' names, such as `GAME_LOGICS`.

use super::{reader::SettingReader, table::Setting};

/// One entry.
pub(super) struct Prefixed<T> {
    pub prefix: String,
    pub value: T,
}

/// Returns the entries `prefix=value`, longest prefix first: the first that matches a game's name
/// applies. Empty if unset or `none`. `parse` reads a value; its error says what is wrong.
pub(super) fn by_prefix<T>(
    reader: &mut SettingReader<'_>,
    setting: &Setting,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<Prefixed<T>> {
    // `none` overrides a default or config.yaml, which an empty variable cannot: it counts as
    // unset.
    if reader.text(setting).is_some_and(|text| text.eq_ignore_ascii_case("none")) {
        return Vec::new();
    }
    let entry = |entry: &str| {
        let (prefix, value) = entry.split_once('=').ok_or("has no `=`")?;
        let prefix = id(prefix.trim())?;
        Ok(Prefixed { prefix, value: parse(value.trim())? })
    };
    let mut entries = reader.parsed_list(setting, entry).unwrap_or_default();
    entries.sort_by(|a, b| b.prefix.len().cmp(&a.prefix.len()).then_with(|| a.prefix.cmp(&b.prefix)));
    for pair in entries.windows(2) {
        if let [Prefixed { prefix, .. }, next] = pair
            && *prefix == next.prefix
        {
            reader.reject(setting, prefix, "is there twice");
        }
    }
    entries
}

/// A text that a game's name can begin with (P1).
pub(super) fn id(text: &str) -> Result<String, String> {
    let is_id = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
    if is_id { Ok(text.to_owned()) } else { Err("is not made of letters, digits and . _ ~ -".to_owned()) }
}
