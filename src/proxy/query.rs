//! Owns which parameters of the upstream's URL a client may set.

use form_urlencoded::{Serializer, parse};
use tokio_tungstenite::tungstenite::http::Uri;

use crate::config::ProxyConfig;

/// Our own parameters: a token or a session's secret must not reach an upstream, whatever the
/// configuration lists.
const OWN: [&str; 4] = ["token", "session", "seq", "spectate"];

/// Returns the path and query for one session: the URL's own parameters, then, of those that a
/// client may set, its first value each, or else the default. A parameter in the URL itself is set
/// by the operator and stays.
pub(super) fn path_and_query(config: &ProxyConfig, query: Option<&str>) -> String {
    // The settings refuse a URL that cannot be read.
    let url: Uri = config.endpoint.url.expose().parse().unwrap_or_default();
    let fixed = url.query().unwrap_or_default();

    let mut result = url.path().to_owned();
    let mut chosen = Serializer::new(String::new());
    let query = query.unwrap_or_default();
    let defaults = config.query_defaults.iter().map(|(name, _)| name);
    let mut done: Vec<&str> = Vec::new();
    for name in config.query.iter().chain(defaults) {
        let is_fixed = parse(fixed.as_bytes()).any(|(known, _)| known == name.as_str());
        if is_fixed || OWN.contains(&name.as_str()) || done.contains(&name.as_str()) {
            continue;
        }
        done.push(name);
        let may_choose = config.query.contains(name);
        let choice = parse(query.as_bytes()).find(|(known, _)| may_choose && known == name.as_str());
        // An empty value does not count as chosen.
        let is_chosen = |name: &str| {
            let sets = |text: &str| parse(text.as_bytes()).any(|(known, value)| known == name && !value.is_empty());
            sets(fixed) || config.query.iter().any(|known| known == name) && sets(query)
        };
        let mut instead = config.query_instead.iter().filter(|(known, _)| known == name).flat_map(|(_, others)| others);
        let is_replaced = instead.any(|other| is_chosen(other));
        let default = || config.query_defaults.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if let Some(value) =
            choice.as_ref().map(|(_, value)| value.as_ref()).or_else(|| default().filter(|_| !is_replaced))
        {
            chosen.append_pair(name, value);
        }
    }
    let chosen = chosen.finish();
    for (index, part) in [fixed, &chosen].into_iter().filter(|part| !part.is_empty()).enumerate() {
        result.push(if index == 0 { '?' } else { '&' });
        result.push_str(part);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, proxy::tests::config};

    fn result(url: &str, query: Option<&str>) -> String {
        let mut config = config();
        config.endpoint.url = Secret::new(url);
        config.query = vec!["model".into(), "voice".into(), "token".into()];
        config.query_defaults = vec![("model".into(), "gpt-realtime".into()), ("v".into(), "1 2".into())];
        path_and_query(&config, query)
    }

    #[test]
    fn x3_a_client_sets_what_it_may_and_nothing_else() {
        let url = "wss://api.example.com/v1/realtime";
        assert_eq!(result(url, None), "/v1/realtime?model=gpt-realtime&v=1+2");
        let client = Some("token=jwt&session=s&seq=4&v=9&x=1&voice=a%26b%3Dc&model=m&model=second");
        assert_eq!(result(url, client), "/v1/realtime?model=m&voice=a%26b%3Dc&v=1+2");
    }

    #[test]
    fn x3_a_default_is_left_out_where_another_parameter_stands_in_its_place() {
        let uri = |url: &str, query: &str| {
            let mut config = config();
            config.endpoint.url = Secret::new(url);
            config.query = vec!["model".into(), "intent".into()];
            config.query_defaults = vec![("model".into(), "m".into())];
            config.query_instead = vec![("model".into(), vec!["intent".into(), "call_id".into()])];
            path_and_query(&config, Some(query))
        };
        assert_eq!(uri("wss://h/p", "intent=transcription"), "/p?intent=transcription");
        assert_eq!(uri("wss://h/p", "intent=transcription&model=x"), "/p?model=x&intent=transcription");
        assert_eq!(uri("wss://h/p", "intent="), "/p?model=m&intent=");
        assert_eq!(uri("wss://h/p", "call_id=c"), "/p?model=m", "what does not pass replaces nothing");
        assert_eq!(uri("wss://h/p?intent=transcription", ""), "/p?intent=transcription");
    }

    #[test]
    fn what_the_url_says_itself_stays() {
        let client = Some("model=mine&voice=x");
        assert_eq!(result("wss://h/p?model=ours&key=k#part", client), "/p?model=ours&key=k&voice=x&v=1+2");
        assert_eq!(result("wss://h:1", client), "/?model=mine&voice=x&v=1+2");
        assert_eq!(result("wss://h?key=k", client), "/?key=k&model=mine&voice=x&v=1+2");
    }
}
