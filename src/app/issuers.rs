//! Owns the fetching of issuers' keys (A11a): at the start, when a token names an unknown one, and
//! once an hour. `gate` has the keys.

use std::{io, sync::Arc, thread, time::Duration};

use slog::{Logger, error, info, warn};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};
use url::{Position, Url};

use super::StartError;
use crate::{
    config::{AuthMode, Config, TokenConfig},
    gate::{Tokens, VerificationKey},
};

/// Between fetches that tokens ask for.
const REFETCH_AFTER: Duration = Duration::from_secs(30);
/// Between attempts while an issuer has never answered, for the time of a start; then
/// `REFETCH_AFTER`.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const HASTE: Duration = Duration::from_secs(60);
/// Revoked keys must go even if no token names a new one.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);
/// Keys older than this are an error: their issuer may have revoked them.
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
    let pems = pem(settings).map_err(wrong)?.map_or_else(Vec::new, |text| blocks(&text));
    Tokens::new(settings, &pems, roles).map(|tokens| Some(Arc::new(tokens))).map_err(wrong)
}

/// Each key of a text: while an issuer changes its key, both count.
fn blocks(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN";
    // Text without a marker is not a key; its reader reports that.
    let Some(first) = text.find(BEGIN) else { return vec![text.to_owned()] };
    text[first..].split(BEGIN).skip(1).map(|rest| format!("{BEGIN}{rest}")).collect()
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

/// One issuer's URL, and when its keys were fetched last.
struct Issuer {
    url: Url,
    fetched_at: Option<Instant>,
}

impl Issuer {
    /// Notes and logs how a fetch went.
    fn note(&mut self, result: &Result<Vec<VerificationKey>, String>, now: Instant, logger: &Logger) {
        match result {
            Ok(keys) => {
                info!(logger, "fetched an issuer's keys"; "issuer" => shown(&self.url), "keys" => keys.len());
                self.fetched_at = Some(now);
            }
            Err(why) if self.fetched_at.is_some_and(|at| now.duration_since(at) > OLD) => {
                error!(logger, "an issuer's keys are older than a day"; "issuer" => shown(&self.url), "reason" => why);
            }
            Err(why) => {
                warn!(logger, "an issuer's keys cannot be fetched"; "issuer" => shown(&self.url), "reason" => why)
            }
        }
    }
}

/// Fetches for as long as the process lives.
pub(super) async fn keep_fetching(urls: Vec<Url>, tokens: Arc<Tokens>, logger: Logger) {
    let keys = tokens.keys();
    let mut issuers: Vec<_> = urls.into_iter().map(|url| Issuer { url, fetched_at: None }).collect();
    let started = Instant::now();
    let (mut refreshed_at, mut asked_at) = (started, None);
    let mut is_refresh = true;
    loop {
        // Between refreshes only issuers that never answered are asked, so that one that is down
        // does not cause a request to the others every second.
        let is_due = |issuer: &Issuer| is_refresh || issuer.fetched_at.is_none();
        let due = issuers.iter().map(|issuer| is_due(issuer).then(|| issuer.url.clone())).collect();
        let round = fetch_all(due).await;
        let now = Instant::now();
        for (issuer, result) in issuers.iter_mut().zip(&round) {
            result.iter().for_each(|result| issuer.note(result, now, &logger));
        }
        keys.store(round.into_iter().map(|result| result.and_then(Result::ok)).collect());
        if is_refresh {
            refreshed_at = now;
        }
        let pause = if now < started + HASTE { RETRY_AFTER } else { REFETCH_AFTER };
        let retry = issuers.iter().any(|issuer| issuer.fetched_at.is_none()).then(|| now + pause);
        let refresh = refreshed_at + REFRESH_AFTER;
        let until = retry.map_or(refresh, |retry| retry.min(refresh));
        let wanted = async {
            keys.wanted().await;
            sleep_until(asked_at.map_or(now, |asked: Instant| asked + REFETCH_AFTER)).await;
        };
        // A request cut short by a retry is repeated: its token is checked again after each round.
        let is_wanted = timeout_at(until, wanted).await.is_ok();
        if is_wanted {
            asked_at = Some(Instant::now());
        }
        is_refresh = is_wanted || until == refresh;
    }
}

/// Some issuers want a key of theirs in the query, which no log may have.
fn shown(url: &Url) -> &str {
    &url[..Position::AfterPath]
}

/// One attempt for each URL that is due, on a thread of its own: the client blocks.
async fn fetch_all(due: Vec<Option<Url>>) -> Vec<Option<Result<Vec<VerificationKey>, String>>> {
    let begin = |url: Url| {
        let (done, fetched) = oneshot::channel();
        let thread: io::Result<_> = thread::Builder::new().name("issuer-keys".into()).spawn(move || {
            let _ = done.send(fetch(&url));
        });
        (thread, fetched)
    };
    let mut results = Vec::new();
    for begun in due.into_iter().map(|url| url.map(begin)).collect::<Vec<_>>() {
        results.push(match begun {
            Some((Ok(_), fetched)) => Some(fetched.await.unwrap_or_else(|_| Err("the fetch panicked".to_owned()))),
            Some((Err(error), _)) => Some(Err(error.to_string())),
            None => None,
        });
    }
    results
}

fn fetch(url: &Url) -> Result<Vec<VerificationKey>, String> {
    // A redirect could lead off https.
    let mut agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0);
    if url.scheme() != "https" {
        // A proxy of the environment is for other machines.
        agent = agent.proxy(None);
    }
    let answer = agent.build().new_agent().get(url.as_str()).header("accept", "application/json").call();
    let mut answer = answer.map_err(|error| error.to_string())?;
    if answer.status().as_u16() != 200 {
        return Err(format!("it answers {}", answer.status()));
    }
    let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(|error| error.to_string())?;
    VerificationKey::from_jwks(&text)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use slog::{Drain, Level, Never, OwnedKVList, Record, o};

    use super::*;

    #[derive(Default)]
    struct LoggedLevels(Mutex<Vec<Level>>);

    impl Drain for LoggedLevels {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            self.0.lock().expect("no panic").push(record.level());
            Ok(())
        }
    }

    #[test]
    fn a12_the_log_shows_an_issuers_address_without_its_query() {
        for text in ["https://a.example/jwks?apikey=secret#x", "https://a.example/jwks"] {
            assert_eq!(shown(&Url::parse(text).unwrap()), "https://a.example/jwks");
        }
    }

    #[test]
    fn a11a_keys_that_could_not_be_fetched_anew_for_a_day_are_an_error() {
        let logged = Arc::new(LoggedLevels::default());
        let logger = Logger::root(logged.clone(), o!());
        let mut issuer = Issuer { url: Url::parse("https://issuer.example/jwks").unwrap(), fetched_at: None };
        let start = Instant::now();
        let failed = Err("no answer".to_owned());
        issuer.note(&failed, start + 2 * OLD, &logger);
        issuer.note(&Ok(Vec::new()), start, &logger);
        for age in [OLD, OLD + Duration::from_secs(1)] {
            issuer.note(&failed, start + age, &logger);
        }
        issuer.note(&Ok(Vec::new()), start + 2 * OLD, &logger);
        issuer.note(&failed, start + 2 * OLD, &logger);
        let expected = [Level::Warning, Level::Info, Level::Warning, Level::Error, Level::Info, Level::Warning];
        assert_eq!(
            *logged.0.lock().expect("no panic"),
            expected,
            "never fetched, fetched, a day, more, fetched, young"
        );
    }
}
