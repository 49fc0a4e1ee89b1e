//! Owns error reports: panics, and whatever is logged at `error`, sent to a Sentry-compatible
//! collector, every string scrubbed (A12).

use std::{
    cell::Cell,
    panic,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use sentry::{
    ClientInitGuard, ClientOptions, Hub, Level, Transport, TransportOptions,
    integrations::{
        backtrace::ProcessStacktraceIntegration,
        contexts::ContextIntegration,
        panic::{PanicIntegration, message_from_panic_info},
    },
    protocol::Event,
    transports::UreqHttpTransportOptions,
    types::Dsn,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use slog::{Drain, Never, OwnedKVList, Record};

use super::{kinds::Kinds, line, scrub::scrub};

/// One report is given up after this long, so that a collector that swallows packets cannot hold
/// the process.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// How long dropping the guard waits for reports under way. With a collector that hangs, the
/// request in flight and a full queue each add up to `SEND_TIMEOUT` to it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The tag of the line that a panic is logged with: the hook reports the panic itself, with its
/// stack.
const PANIC_TAG: &str = "panic";

/// Starts reporting to the collector that the DSN names; `None` leaves it off. Reports wait in a
/// queue of 30 and are dropped when it is full. Keep the guard: dropping it sends what is queued,
/// and returns within 5 s whatever the collector does.
///
/// # Errors
/// A sentence for people when the DSN cannot be parsed. It does not repeat the DSN, which is a
/// secret.
pub(crate) fn start(dsn: Option<&str>, release: &str) -> Result<Option<ClientInitGuard>, String> {
    let Some(dsn) = dsn else { return Ok(None) };
    // `ClientOptions::dsn` panics on a bad one.
    dsn.parse::<Dsn>().map_err(|_| "SENTRY_DSN is not a DSN (https://KEY@HOST/PROJECT)".to_owned())?;
    let options = ClientOptions::new()
        .dsn(dsn)
        .release(release.to_owned())
        .send_default_pii(false)
        .before_send(scrubbed)
        .before_breadcrumb(scrubbed)
        .shutdown_timeout(FLUSH_TIMEOUT)
        .transport(Transports)
        // Without the panic integration: it waits for the collector inside the hook, on the thread
        // that panicked, and that thread serves a whole shard of rooms. `install_panic_hook` does
        // its work without waiting.
        .default_integrations(false)
        .add_integration(ContextIntegration::default())
        .add_integration(ProcessStacktraceIntegration);
    let guard = sentry::init(options);
    // Every thread uses the main hub; `init` binds the calling thread's hub, which may be another.
    Hub::main().bind_client(Hub::current().client());
    Ok(Some(guard))
}

/// Reports what is logged at `error`, whatever the log's level, and passes everything on. Never
/// waits.
pub(super) struct Reporting<D> {
    kinds: Arc<Mutex<Kinds>>,
    next: D,
}

impl<D> Reporting<D> {
    pub(super) fn before(next: D) -> Self {
        Self { kinds: Arc::default(), next }
    }
}

impl<D: Drain<Ok = (), Err = Never>> Drain for Reporting<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if record.level().is_at_least(slog::Level::Error) && record.tag() != PANIC_TAG {
            self.report(record, values);
        }
        self.next.log(record, values)
    }
}

impl<D> Reporting<D> {
    fn report(&self, record: &Record<'_>, values: &OwnedKVList) {
        let hub = Hub::main();
        if hub.client().is_none() {
            return;
        }
        let (message, fields) = line::told(record, values);
        let kind = (record.file(), record.line(), &message);
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).admit(&kind, Instant::now());
        let Some(untold) = kinds else { return };
        let mut event = Event { message: Some(message), level: Level::Error, ..Event::default() };
        event.logger = Some(record.module().to_owned());
        event.extra.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if untold > 0 {
            event.extra.insert("not_reported_since_the_last_one".to_owned(), untold.into());
        }
        hub.capture_event(event);
    }
}

/// From now on a panic on any thread is one `error` line of the log, in place of the text on
/// stderr, and one report, unless the same panic was reported within `PAUSE`. The hook never waits:
/// the line and the report are queued. With reporting on, the first panic of the process costs its
/// thread some 90 ms for reading the debug information, later ones under 1 ms. May be called before
/// or after `start`.
pub(crate) fn install_panic_hook(logger: slog::Logger) {
    thread_local! {
        static REPORTING: Cell<bool> = const { Cell::new(false) };
    }
    let kinds = Mutex::<Kinds>::default();
    panic::set_hook(Box::new(move |info| {
        let message = message_from_panic_info(info);
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let current = thread::current();
        let name = current.name().unwrap_or("unnamed");
        slog::error!(logger, #PANIC_TAG, "panic: {}", message; "location" => &location, "thread" => name);
        // A panic inside the reporting itself is logged, but not reported again.
        let hub = Hub::main();
        if hub.client().is_some() && !REPORTING.replace(true) {
            let told =
                kinds.lock().unwrap_or_else(PoisonError::into_inner).admit(&(&location, message), Instant::now());
            if told.is_none() {
                REPORTING.set(false);
                return;
            }
            let mut event = PanicIntegration::new().event_from_panic_info(info);
            event.tags.insert("thread".into(), name.into());
            event.tags.insert("location".into(), location);
            hub.capture_event(event);
            REPORTING.set(false);
        }
    }));
}

/// The value with every string and every key scrubbed, wherever it stands in the structure. `None`
/// when that fails: what cannot be scrubbed is not sent.
fn scrubbed<T: Serialize + DeserializeOwned>(value: T) -> Option<T> {
    let mut tree = serde_json::to_value(value).ok()?;
    scrub_tree(&mut tree);
    serde_json::from_value(tree).ok()
}

// The depth is that of Sentry's own structures; nothing of a client's makes it deeper.
fn scrub_tree(value: &mut Value) {
    match value {
        Value::String(text) => *text = scrub(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(scrub_tree),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    scrub_tree(&mut value);
                    // A field that is named after a secret holds one.
                    if value.is_string()
                        && matches!(key.to_ascii_lowercase().as_str(), "token" | "session" | "authorization")
                    {
                        value = super::scrub::SCRUBBED.into();
                    }
                    (scrub(&key).into_owned(), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Sentry's HTTP transport has no timeouts of its own, and its shutdown waits for the request in
/// flight.
struct Transports;

impl sentry::TransportFactory for Transports {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(SEND_TIMEOUT)).build().new_agent();
        Arc::new(UreqHttpTransportOptions::from(options).with_agent(agent).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";

    #[test]
    fn without_a_dsn_reporting_is_off_and_a_bad_one_is_not_repeated() {
        assert!(start(None, "innkeeper@0").unwrap().is_none());
        for dsn in ["s3cret", "https://s3cret@", "https://s3cret@host/", ""] {
            assert!(!start(Some(dsn), "innkeeper@0").err().unwrap().contains("s3cret"));
        }
    }

    #[test]
    fn a12_every_string_of_a_report_is_scrubbed_and_the_rest_is_kept() {
        let mut event = Event { message: Some(format!("m {JWT}")), ..Event::default() };
        event.tags.insert(format!("?token={JWT}"), format!("Bearer {JWT}"));
        event.extra.insert("deep".into(), serde_json::json!([{ "session": "s3cret", "n": 5 }, JWT]));
        event.exception.values.push(sentry::protocol::Exception {
            ty: "panic".into(),
            value: Some(JWT.into()),
            ..Default::default()
        });
        event.request = Some(sentry::protocol::Request {
            query_string: Some("session=s3cret&seq=1".into()),
            headers: [("Authorization".to_owned(), "s3cret".to_owned())].into(),
            ..Default::default()
        });
        let clean = scrubbed(event.clone()).unwrap();
        let text = serde_json::to_string(&clean).unwrap();
        assert!(!text.contains("eyJ") && !text.contains("s3cret"), "{text}");
        assert_eq!(clean.message.as_deref(), Some("m [scrubbed]"));
        assert_eq!((clean.event_id, clean.level), (event.event_id, event.level));
        assert_eq!(clean.extra["deep"][0]["n"], 5);
    }
}
