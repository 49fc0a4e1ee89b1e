//! Owns admission of HTTP requests: runs the checks of section 2 in their order, logs and counts
//! refusals.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::Addr;
use actix_http::header::HeaderMap;
use actix_rt::net::TcpStream;
use slog::{Logger, warn};
use tokio::time::timeout_at;

use super::{answer::error_body, upgrade::response};
use crate::{
    config::{AuthMode, Config},
    gate::{AdminScope, Asking, OperatorError, Operators, address, origin},
    observe::{
        log::{SecurityFields, security},
        metrics::Metrics,
    },
    protocol::Refusal,
    registry::{Permit, Registry, messages::Admit},
};

/// What admission checks of a request; header values as sent.
#[derive(Debug, Clone)]
pub(crate) struct AdmissionRequest<'a> {
    pub address: IpAddr,
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    /// The result of [`Admission::undeclared_proxy`].
    pub proxy: Option<&'static str>,
    /// A page of another origin sent the request, as far as it shows without an `Origin` header.
    pub is_foreign: bool,
    /// The check A4, made by the caller.
    pub request: Result<(), Refusal>,
    pub claim: TakeoverClaim,
}

/// Where a connection's claim to replace another one of the same address is, if it has any (A5a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeoverClaim {
    None,
    /// Its first frame decides.
    InFrame,
    /// Its handshake decides, once its credentials are checked.
    InHandshake,
}

/// How long a claim in a handshake waits for an earlier claim of its address, and how often it
/// retries.
const CLAIM_PATIENCE: Duration = Duration::from_secs(3);
const CLAIM_RETRY: Duration = Duration::from_millis(20);

/// Admits requests; one per HTTP worker.
#[derive(Clone)]
pub(crate) struct Admission {
    pub config: Arc<Config>,
    pub registry: Addr<Registry>,
    pub logger: Logger,
    pub metrics: Arc<Metrics>,
    pub operators: Arc<Operators>,
    /// The warning about an undeclared proxy has been logged.
    pub warned: Arc<AtomicBool>,
}

/// The address of the socket's peer; 0.0.0.0 if unknown.
pub(super) fn peer_address(peer: Option<SocketAddr>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
}

impl Admission {
    /// Checks A1 to A6.
    ///
    /// # Errors
    /// Returns the first refusal in the order of the table.
    pub(crate) async fn admit(&self, attempt: AdmissionRequest<'_>) -> Result<Permit, Refusal> {
        if let Some(header) = attempt.proxy
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(self.logger, "a proxy is in front of the server and CLIENT_IP_HEADER is unset: all its clients count as one \
                address; set CLIENT_IP_HEADER to the header in which it names them, or to none";
                "header" => header, "address" => %attempt.address);
        }
        let mut decided = self.decide(&attempt).await;
        if let Err(refusal) = &mut decided {
            refusal.name_proxy(attempt.proxy);
        } else if let Ok(permit) = &mut decided {
            permit.name_proxy(attempt.proxy);
        }
        if let Err(refusal) = &decided {
            self.metrics.refused(refusal.code());
            if let Some(event) = refusal.log_event() {
                let reason = refusal.message();
                let fields = SecurityFields {
                    address: Some(&attempt.address),
                    reason: Some(&reason),
                    ..SecurityFields::default()
                };
                security(&self.logger, event, &fields);
            }
        }
        decided
    }

    async fn decide(&self, attempt: &AdmissionRequest<'_>) -> Result<Permit, Refusal> {
        let gate = &self.config.gate;
        if let Some(setting) = gate.disabled_by {
            return Err(Refusal::Disabled(setting));
        }
        if !self.admits_origin(attempt.origin, attempt.host) {
            let request = Err(Refusal::InvalidOrigin);
            let admit =
                Admit { address: attempt.address, is_foreign: true, request, claims: false, is_repeated: false };
            return Err(match self.registry.send(admit).await {
                // A2 comes before A3, but past the rate limit the client learns when to retry.
                Ok(Err(Refusal::RateLimit { retry_after })) => Refusal::InvalidOrigins { retry_after },
                _ => Refusal::InvalidOrigin,
            });
        }
        let since = Instant::now();
        let mut decided = self.ask_registry(attempt, false).await;
        while attempt.claim == TakeoverClaim::InHandshake
            && matches!(decided, Err(Refusal::AddressLimit { .. }))
            && since.elapsed() < CLAIM_PATIENCE
        {
            tokio::time::sleep(CLAIM_RETRY).await;
            decided = self.ask_registry(attempt, true).await;
        }
        decided
    }

    async fn ask_registry(&self, attempt: &AdmissionRequest<'_>, is_repeated: bool) -> Result<Permit, Refusal> {
        let (request, claims) = (attempt.request.clone(), attempt.claim != TakeoverClaim::None);
        let is_foreign = attempt.is_foreign;
        let admit = Admit { address: attempt.address, is_foreign, request, claims, is_repeated };
        // The registry lives as long as the process. Without it, no connection can be admitted.
        self.registry.send(admit).await.unwrap_or(Err(Refusal::Draining { retry_after: Duration::from_secs(1) }))
    }

    /// Answers 429 on a socket whose address holds too many, and closes it.
    pub(super) fn turn_away(&self, socket: TcpStream) {
        const REASON: &str = "this address holds MAX_SOCKETS_PER_IP sockets and waits for answers on all of them";
        self.metrics.refused("socket_limit");
        let peer = address::client_address(peer_address(socket.peer_addr().ok()), None);
        let fields = SecurityFields { address: Some(&peer), reason: Some(REASON), ..SecurityFields::default() };
        security(&self.logger, "HTTP_CONNECTION_BLOCKED_SOCKET_LIMIT", &fields);
        let answer = response(429, "Retry-After: 1\r\n", &error_body("socket_limit", REASON));
        // Does not wait for the peer: what its socket does not take at once is lost.
        let _ = socket.into_std().and_then(|mut socket| socket.write(&answer));
    }

    /// Checks the request's origin (A9).
    pub(crate) fn admits_origin(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let gate = &self.config.gate;
        let open = matches!(gate.auth.mode, AuthMode::Open);
        origin::admits(gate.allowed_origins.as_deref(), origin, host, open)
    }

    /// Checks an operator's token (E1); returns its scope. Waits as long as an issuer's keys may
    /// still arrive (A11a).
    ///
    /// # Errors
    /// Fails if the token is missing or wrong, the address is limited, or no keys arrive in time.
    pub(crate) async fn admits_operator(
        &self,
        token: Option<&str>,
        address: IpAddr,
    ) -> Result<AdminScope, OperatorError> {
        let until = Instant::now() + self.config.gate.auth.timeout;
        loop {
            let instant = Instant::now();
            let unix_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let round = self.operators.tokens().map_or(0, |tokens| tokens.keys().round());
            let checked = self.operators.check(token, Asking { address, unix_secs, instant });
            match (checked, self.operators.tokens()) {
                (Err(OperatorError::Pending), Some(tokens)) if instant < until => {
                    let _ = timeout_at(until.into(), tokens.keys().after(round)).await;
                }
                (Ok((scope, _)), _) => return Ok(scope),
                (Err(error), _) => {
                    self.refuse_operator(error, address);
                    return Err(error);
                }
            }
        }
    }

    /// Counts the refusal, and logs a wrong token (A15).
    fn refuse_operator(&self, error: OperatorError, address: IpAddr) {
        self.metrics.refused(error.code());
        if error == OperatorError::Wrong {
            let reason = error.to_string();
            let fields = SecurityFields { address: Some(&address), reason: Some(&reason), ..SecurityFields::default() };
            security(&self.logger, "API_REFUSED", &fields);
        }
    }

    /// Returns the client's address: from the trusted proxy's header if one is configured,
    /// otherwise the socket's.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = self.config.gate.client_ip_header.as_deref();
        let last = |name| headers.get_all(name).last().map(|value| (name, value.as_bytes()));
        address::client_address(peer, name.and_then(last))
    }

    /// Returns a forwarding header of the request, which shows a proxy that the configuration does
    /// not declare.
    pub(crate) fn undeclared_proxy(&self, peer: IpAddr, headers: &HeaderMap) -> Option<&'static str> {
        let may_be = self.config.gate.expects_no_proxy && address::is_inside(peer);
        address::FORWARDING.into_iter().find(|name| may_be && headers.contains_key(*name))
    }
}
