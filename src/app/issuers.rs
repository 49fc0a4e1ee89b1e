//! Owns the fetching of issuers' keys (A11a): at the start, when a token names an unknown one, and once an hour.
//! Called by `app`, which starts it; `gate` has the keys.

use std::{io, sync::Arc, thread, time::Duration};

use slog::{Logger, error, info, warn};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::StartError;
use crate::{
    config::{AuthMode, Config, TokenConfig},
    gate::{Key, Tokens},
};

/// Between fetches that tokens ask for.
const REFETCH_AFTER: Duration = Duration::from_secs(30);
/// Between attempts while an issuer has never answered.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Keys that an issuer takes back must go, also when nobody brings a new one.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);
/// Older keys are an error: their issuer may have taken them back.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// A whole answer must arrive in this time.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A set of hundreds of keys is far smaller.
const MAX_BYTES: u64 = 1 << 20;

/// What tokens are checked against, if there is any key for them (A10).
pub(super) fn tokens(config: &Config) -> Result<Option<Arc<Tokens>>, StartError> {
    let AuthMode::Jwt(settings) = &config.gate.auth.mode else { return Ok(None) };
    let hubs = config.hubs.iter().flat_map(|hub| {
        let subscribers = hub.access.subscribe.iter().map(|(role, _)| role);
        subscribers.chain(&hub.access.publish)
    });
    let roles = hubs.chain(config.proxies.iter().flat_map(|proxy| &proxy.roles)).cloned().collect();
    let wrong = |why: String| StartError::Config(format!("JWT_PUBLIC_KEY: {why}"));
    let pems: Vec<_> = pem(settings).map_err(wrong)?.into_iter().collect();
    Tokens::new(settings, &pems, roles).map(|tokens| Some(Arc::new(tokens))).map_err(wrong)
}

/// The text of `JWT_PUBLIC_KEY`, or of the file that it names.
fn pem(settings: &TokenConfig) -> Result<Option<String>, String> {
    let Some(text) = &settings.public_key else { return Ok(None) };
    if text.contains("-----BEGIN") {
        // Files of variables cannot hold line breaks.
        return Ok(Some(text.replace("\\n", "\n")));
    }
    std::fs::read_to_string(text).map(Some).map_err(|error| format!("{text} cannot be read: {error}"))
}

/// Fetches for as long as the process lives.
pub(super) async fn keep_fetching(urls: Vec<String>, tokens: Arc<Tokens>, logger: Logger) {
    let keys = tokens.keys();
    let mut fetched_at: Vec<Option<Instant>> = vec![None; urls.len()];
    let mut asked_at: Option<Instant> = None;
    loop {
        let round = fetch_all(urls.clone()).await;
        let now = Instant::now();
        let mut found = Vec::with_capacity(urls.len());
        for ((url, result), fetched) in urls.iter().zip(round).zip(&mut fetched_at) {
            match &result {
                Ok(keys) => {
                    info!(logger, "fetched an issuer's keys"; "issuer" => url, "keys" => keys.len());
                    *fetched = Some(now);
                }
                Err(why) if fetched.is_some_and(|at| now.duration_since(at) > OLD) => {
                    error!(logger, "an issuer's keys are older than a day"; "issuer" => url, "reason" => why);
                }
                Err(why) => warn!(logger, "an issuer's keys cannot be fetched"; "issuer" => url, "reason" => why),
            }
            found.push(result.ok());
        }
        keys.store(found);
        if fetched_at.iter().any(Option::is_none) {
            sleep(RETRY_AFTER).await;
            continue;
        }
        if timeout_at(now + REFRESH_AFTER, keys.wanted()).await.is_ok() {
            if let Some(asked) = asked_at {
                sleep_until(asked + REFETCH_AFTER).await;
            }
            asked_at = Some(Instant::now());
        }
    }
}

/// One attempt for each URL, on a thread of its own: the client blocks.
async fn fetch_all(urls: Vec<String>) -> Vec<Result<Vec<Key>, String>> {
    let fetches = urls.into_iter().map(|url| {
        let (done, fetched) = oneshot::channel();
        let thread: io::Result<_> = thread::Builder::new().name("issuer-keys".into()).spawn(move || {
            let _ = done.send(fetch(&url));
        });
        (thread, fetched)
    });
    let mut results = Vec::new();
    for (thread, fetched) in fetches.collect::<Vec<_>>() {
        results.push(match thread {
            Ok(_) => fetched.await.unwrap_or_else(|_| Err("the fetch panicked".to_owned())),
            Err(error) => Err(error.to_string()),
        });
    }
    results
}

fn fetch(url: &str) -> Result<Vec<Key>, String> {
    // A redirect could lead off https.
    let mut agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0);
    if !url.starts_with("https://") {
        // A proxy of the environment is for other machines.
        agent = agent.proxy(None);
    }
    let answer = agent.build().new_agent().get(url).header("accept", "application/json").call();
    let mut answer = answer.map_err(|error| error.to_string())?;
    if answer.status().as_u16() != 200 {
        return Err(format!("it answers {}", answer.status()));
    }
    let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(|error| error.to_string())?;
    Key::from_jwks(&text)
}
