//! Owns the command `innkeeper api`: one request to the running server, with the address and the
//! key taken from the server's own settings.

use std::{
    fs,
    io::{self, Read as _, Write},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use url::Url;

use crate::{
    config::{AuthMode, Config, Ports, Secret, is_this_machine},
    token::{MintedClaims, mint},
    whereabouts,
};

/// For the connection and the response together: a call may wait for a slow disk.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a token made for one call is valid.
const TOKEN_TTL: Duration = Duration::from_secs(60);

/// The request to send.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// In upper or lower case.
    pub method: String,
    /// Begins with `/`; includes the query.
    pub path: String,
    /// The body; `-` reads it from stdin.
    pub body: Option<String>,
    /// Each as `Name: value`.
    pub headers: Vec<String>,
    /// `http://host:port` of another server than the one of the settings.
    pub url: Option<String>,
}

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The arguments are invalid; the message says what to write.
    Usage(String),
    /// No server responded, or the response could not be read or printed.
    Failed(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(message) | Self::Failed(message)) = self;
        f.write_str(message)
    }
}

/// Makes the call, prints the response's body and returns its status.
///
/// # Errors
/// [`CallError`].
pub fn call(config: &Config, call: &Call, out: &mut dyn Write) -> Result<u16, CallError> {
    let method = ureq::http::Method::from_bytes(call.method.to_ascii_uppercase().as_bytes());
    let method = method.map_err(|_| CallError::Usage(format!("{:?} is no method; write GET or POST", call.method)))?;
    if !call.path.starts_with('/') {
        return Err(CallError::Usage(format!("{:?} is no path; write one such as /api/games", call.path)));
    }
    let base = match &call.url {
        Some(url) => match Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => url.trim_end_matches('/').to_owned(),
            _ => return Err(CallError::Usage(format!("{url:?} is no URL; write one such as http://localhost:8080"))),
        },
        None => base(config)?,
    };
    let body = match call.body.as_deref() {
        Some("-") => {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body).map_err(|error| failed("cannot read stdin", &error))?;
            body
        }
        body => body.unwrap_or_default().as_bytes().to_vec(),
    };
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{base}{}", call.path));
    let mut has_own = false;
    for header in &call.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| no_header(header))?;
        has_own |= name.trim().eq_ignore_ascii_case("authorization");
        request = request.header(name.trim(), value.trim());
    }
    let is_here = call.url.is_none() || is_loopback(&base);
    if let Some(key) = key(config, is_here)?.filter(|_| !has_own) {
        request = request.header("Authorization", format!("Bearer {}", key.expose()));
    }
    if call.body.is_some() {
        request = request.header("Content-Type", "application/json");
    }
    let request = request.body(body).map_err(|error| CallError::Usage(format!("cannot ask that: {error}")))?;

    let settings = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        // The key must reach only the named server, never a proxy from the environment.
        .proxy(None)
        .build();
    let agent = settings.new_agent();
    let mut answer = agent.run(request).map_err(|error| failed(&format!("no answer from {base}"), &error))?;
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec();
    let mut body = body.map_err(|error| failed(&format!("the answer from {base} cannot be read"), &error))?;
    if body.last().is_some_and(|last| *last != b'\n') {
        body.push(b'\n');
    }
    match out.write_all(&body).and_then(|()| out.flush()) {
        // The reader closed the pipe early, as in `innkeeper api GET /metrics | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed("cannot print the answer", &error)),
        _ => Ok(answer.status().as_u16()),
    }
}

fn no_header(header: &str) -> CallError {
    // The header's text is left out: it may be a secret.
    CallError::Usage(format!("a header of {} bytes has no colon; write Name: value", header.len()))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> CallError {
    CallError::Failed(format!("{what}: {error}"))
}

/// Returns the server's base URL: the one the running server has written down, otherwise the one of
/// the settings.
fn base(config: &Config) -> Result<String, CallError> {
    if let Some(url) = whereabouts::running(&config.store.data_dir) {
        return Ok(url);
    }
    let port = match config.listen.ports {
        Ports::Shared(port) | Ports::Split { http: port, .. } => port,
    };
    if port == 0 {
        let dir = config.store.data_dir.display();
        return Err(CallError::Failed(format!(
            "no server runs with the data directory {dir}, and PORT=0 names no port"
        )));
    }
    Ok(whereabouts::url(SocketAddr::new(config.listen.host.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port)))
}

fn is_loopback(base: &str) -> bool {
    Url::parse(base).is_ok_and(|url| url.host().is_some_and(|host| is_this_machine(&host)))
}

/// Returns the key for the API: the operators' secret, an admin's token that is valid for the call,
/// or the operator key, which is sent only to this machine's server.
fn key(config: &Config, is_here: bool) -> Result<Option<Secret>, CallError> {
    let auth = &config.gate.auth;
    if let Some(secret) = &auth.api_secret {
        return Ok(Some(secret.clone()));
    }
    if let AuthMode::Jwt(tokens) = &auth.mode {
        if tokens.secret.is_none() {
            // Only an issuer can make tokens; the server's response explains what it needs.
            return Ok(None);
        }
        let claims = MintedClaims {
            player: "operator".into(),
            role: Some("admin".into()),
            ttl: TOKEN_TTL,
            ..MintedClaims::default()
        };
        return mint(config, &claims, SystemTime::now())
            .map(|token| Some(Secret::new(token)))
            .map_err(CallError::Usage);
    }
    if !is_here {
        return Ok(None);
    }
    let file = config.store.operator_key_file();
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        // Without a key, the server's response explains what it needs.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&format!("cannot read the operator key {}", file.display()), &error)),
    }
}
