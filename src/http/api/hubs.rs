//! Owns the back end's calls for feed hubs: list all, show one with its topics, and publish to an
//! event bus (sections 6 and 8).

use actix_web::{HttpRequest, http::StatusCode, web};
use serde::Serialize;

use super::{
    ApiResult, ENVELOPE_BYTES,
    ask::{self, ApiError, body, guard, idempotency_key, within_patience},
};
use crate::{
    clock::Now,
    http::{
        answer::{read, resource},
        routes::Site,
    },
    hub::{HubHandle, PublishError, Publisher, TopicLine},
    observe::{metrics::HubMetrics, stats::HubStats},
    protocol::{HubId, Topic, api::parse_publish, error_code},
    room::{BodyHash, IdempotencyKey},
};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/api/hubs", "GET, HEAD").route(read().to(list)))
        .service(resource("/api/hubs/{hub}", "GET, HEAD").route(read().to(show)))
        .service(resource("/api/hubs/{hub}/topics/{topic:.*}", "POST").route(web::post().to(publish)));
}

#[derive(Serialize)]
struct HubLine<'a> {
    #[serde(flatten)]
    stats: HubStats,
    /// Why the hub is off; absent if it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<&'a str>,
    /// The hub's values come from an upstream, so publishing is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_upstream: Option<bool>,
}

#[derive(Serialize)]
struct HubDetail<'a> {
    #[serde(flatten)]
    line: HubLine<'a>,
    topic_list: Vec<TopicLine>,
}

fn line<'a>(site: &'a Site, id: String, metrics: &HubMetrics) -> HubLine<'a> {
    let hub = site.hubs.get(id.as_str());
    let running = hub.and_then(|hub| hub.as_ref().ok());
    let stats = HubStats::read(id, metrics, Now::read().unix_ms);
    HubLine {
        stats,
        off: hub.and_then(|hub| hub.as_ref().err()).map(String::as_str),
        has_upstream: running.map(|hub| !hub.is_bus()),
    }
}

async fn list(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    guard(&site, &request).await?;
    let hubs = site.admission.metrics.hubs();
    let lines: Vec<_> = hubs.into_iter().map(|(id, metrics)| line(&site, id, &metrics)).collect();
    Ok(ask::json(&serde_json::json!({ "hubs": lines })))
}

async fn show(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    let id = ask::guard_hub(&site, &request).await?;
    let metrics = site.admission.metrics.hubs().remove(id.as_str()).ok_or_else(no_such_hub)?;
    let topic_list = match site.hubs.get(&id) {
        Some(Ok(hub)) => {
            within_patience(async { hub.topics().await.ok_or_else(|| refused(PublishError::Gone)) }).await?
        }
        _ => Vec::new(),
    };
    Ok(ask::json(&HubDetail { line: line(&site, id.as_str().to_owned(), &metrics), topic_list }))
}

async fn publish(site: web::Data<Site>, request: HttpRequest, payload: web::Payload) -> ApiResult {
    let id = ask::guard_hub(&site, &request).await?;
    let (hub, topic) = (bus(&site, &id)?, topic(&request)?);
    let max_data = site.admission.config.connection.max_message_bytes;
    // The path names the topic, so the same key on another topic is another event.
    let key = idempotency_key(&request, topic.as_str())?;
    let text = body(&site, &request, payload, max_data + ENVELOPE_BYTES).await?;
    let key = key.map(|key| IdempotencyKey { key, body: BodyHash::of(text.as_bytes()) });
    let data = parse_publish(&text)?;
    if data.as_str().len() > max_data {
        return Err(ApiError::message_too_big());
    }
    let seq = within_patience(async {
        hub.publish(topic, data, Publisher::BackEnd { key }).await.map_err(refused)?.seq().await.map_err(refused)
    })
    .await?;
    Ok(ask::json_text(format!(r#"{{"seq":{seq}}}"#)))
}

/// The topic in the path: everything after `topics/`, percent-decoded.
fn topic(request: &HttpRequest) -> Result<Topic, ApiError> {
    let name = request.uri().path().splitn(6, '/').nth(5).unwrap_or_default();
    let topic = percent_decoded(name).and_then(|name| Topic::parse(&name));
    topic.ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_path", "a topic is a percent-encoded name of 1 to 128 bytes")
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn bus<'a>(site: &'a Site, id: &HubId) -> Result<&'a HubHandle, ApiError> {
    match site.hubs.get(id) {
        None => Err(no_such_hub()),
        Some(Err(off)) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "hub_off", off)),
        Some(Ok(hub)) if !hub.is_bus() => {
            let message = "this hub's values come from its upstream; publish to a hub without one";
            Err(ApiError::new(StatusCode::CONFLICT, "has_upstream", message))
        }
        Some(Ok(hub)) => Ok(hub),
    }
}

fn no_such_hub() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such hub")
}

fn refused(error: PublishError) -> ApiError {
    match error {
        PublishError::Full => ApiError::new(StatusCode::CONFLICT, error_code::TOO_MANY_TOPICS, PublishError::FULL),
        PublishError::Share => ApiError::new(StatusCode::CONFLICT, error_code::TOO_MANY_TOPICS, PublishError::SHARE),
        PublishError::Mismatch => ApiError::mismatch(),
        PublishError::Gone => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error_code::UNAVAILABLE, PublishError::GONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn a_topic_is_decoded_once_and_what_is_not_well_formed_is_none() {
        for (text, decoded) in [
            ("a", Some("a")),
            ("O%3aSPY%20%C3%A9+", Some("O:SPY é+")),
            ("a/b%2Fc", Some("a/b/c")),
            ("%2541", Some("%41")),
            ("%", None),
            ("%4", None),
            ("%4x", None),
            ("%+4", None),
            ("%ff", None),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
