//! Owns admission as a request meets it: the checks of section 2 in their order, logged and
//! counted.

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

/// What admission looks at; header values as they came.
#[derive(Debug, Clone)]
pub struct AdmissionRequest<'a> {
    pub address: IpAddr,
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    /// What [`Admission::undeclared_proxy`] says of the request.
    pub proxy: Option<&'static str>,
    /// A page from elsewhere sent it, as far as the request tells without an `Origin`.
    pub is_foreign: bool,
    /// A4, judged by the caller.
    pub request: Result<(), Refusal>,
    pub claim: TakeoverClaim,
}

/// Whether a connection may turn out to take the place of another one of its address (A5a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeoverClaim {
    None,
    /// Its first frame decides.
    InFrame,
    /// Its handshake decides, as soon as it is looked at.
    InHandshake,
}

/// How long a claim that is decided at once waits for an earlier one of its address.
const CLAIM_PATIENCE: Duration = Duration::from_secs(3);
const CLAIM_RETRY: Duration = Duration::from_millis(20);

/// The way in; one per HTTP worker.
#[derive(Clone)]
pub struct Admission {
    pub config: Arc<Config>,
    pub registry: Addr<Registry>,
    pub logger: Logger,
    pub metrics: Arc<Metrics>,
    pub operators: Arc<Operators>,
    /// An undeclared proxy was warned of.
    pub warned: Arc<AtomicBool>,
}

/// The address at the other end of the socket.
pub(super) fn peer_address(peer: Option<SocketAddr>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
}

impl Admission {
    /// A1 to A6.
    ///
    /// # Errors
    /// The first refusal in the order of the table.
    pub async fn admit(&self, knock: AdmissionRequest<'_>) -> Result<Permit, Refusal> {
        if let Some(header) = knock.proxy
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(self.logger, "a proxy is in front of the server and CLIENT_IP_HEADER is unset: all its clients count as one \
                address; set CLIENT_IP_HEADER to the header in which it names them, or to none";
                "header" => header, "address" => %knock.address);
        }
        let mut decided = self.decide(&knock).await;
        if let Err(refusal) = &mut decided {
            refusal.name_proxy(knock.proxy);
        } else if let Ok(permit) = &mut decided {
            permit.name_proxy(knock.proxy);
        }
        if let Err(refusal) = &decided {
            self.metrics.refused(refusal.code());
            if let Some(event) = refusal.log_event() {
                let reason = refusal.message();
                let fields = SecurityFields {
                    address: Some(&knock.address),
                    reason: Some(&reason),
                    ..SecurityFields::default()
                };
                security(&self.logger, event, &fields);
            }
        }
        decided
    }

    async fn decide(&self, knock: &AdmissionRequest<'_>) -> Result<Permit, Refusal> {
        let gate = &self.config.gate;
        if let Some(setting) = gate.disabled_by {
            return Err(Refusal::Disabled(setting));
        }
        if !self.admits_origin(knock.origin, knock.host) {
            let request = Err(Refusal::InvalidOrigin);
            let admit = Admit { address: knock.address, is_foreign: true, request, claims: false, is_repeated: false };
            return Err(match self.registry.send(admit).await {
                // A2 answers before A3; what is over the limit is told when to come back.
                Ok(Err(Refusal::RateLimit { retry_after })) => Refusal::InvalidOrigins { retry_after },
                _ => Refusal::InvalidOrigin,
            });
        }
        let since = Instant::now();
        let mut decided = self.ask_registry(knock, false).await;
        while knock.claim == TakeoverClaim::InHandshake
            && matches!(decided, Err(Refusal::AddressLimit { .. }))
            && since.elapsed() < CLAIM_PATIENCE
        {
            tokio::time::sleep(CLAIM_RETRY).await;
            decided = self.ask_registry(knock, true).await;
        }
        decided
    }

    async fn ask_registry(&self, knock: &AdmissionRequest<'_>, is_repeated: bool) -> Result<Permit, Refusal> {
        let (request, claims) = (knock.request.clone(), knock.claim != TakeoverClaim::None);
        let is_foreign = knock.is_foreign;
        let admit = Admit { address: knock.address, is_foreign, request, claims, is_repeated };
        // The registry lives as long as the process; without it nobody can be let in.
        self.registry.send(admit).await.unwrap_or(Err(Refusal::Draining { retry_after: Duration::from_secs(1) }))
    }

    /// Answers a socket whose address uses as many as it may hold, and closes it.
    pub(super) fn turn_away(&self, socket: TcpStream) {
        const REASON: &str = "this address holds MAX_SOCKETS_PER_IP sockets and waits for answers on all of them";
        self.metrics.refused("socket_limit");
        let peer = address::client_address(peer_address(socket.peer_addr().ok()), None);
        let fields = SecurityFields { address: Some(&peer), reason: Some(REASON), ..SecurityFields::default() };
        security(&self.logger, "HTTP_CONNECTION_BLOCKED_SOCKET_LIMIT", &fields);
        let answer = response(429, "Retry-After: 1\r\n", &error_body("socket_limit", REASON));
        // Nobody waits for this peer: what its socket does not take at once it does not get.
        let _ = socket.into_std().and_then(|mut socket| socket.write(&answer));
    }

    /// A9.
    pub fn admits_origin(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let gate = &self.config.gate;
        let open = matches!(gate.auth.mode, AuthMode::Open);
        origin::admits(gate.allowed_origins.as_deref(), origin, host, open)
    }

    /// E1, for a request with this token from this address: what it opens. Waits while an issuer's keys may still come (A11a).
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn admits_operator(&self, token: Option<&str>, address: IpAddr) -> Result<AdminScope, OperatorError> {
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

    /// A15.
    fn refuse_operator(&self, error: OperatorError, address: IpAddr) {
        self.metrics.refused(error.code());
        if error == OperatorError::Wrong {
            let reason = error.to_string();
            let fields = SecurityFields { address: Some(&address), reason: Some(&reason), ..SecurityFields::default() };
            security(&self.logger, "API_REFUSED", &fields);
        }
    }

    /// The client's address: the trusted proxy's word where there is one, else the socket's.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = self.config.gate.client_ip_header.as_deref();
        let last = |name| headers.get_all(name).last().map(|value| (name, value.as_bytes()));
        address::client_address(peer, name.and_then(last))
    }

    /// The header by which a request seems to come from a proxy that nobody has declared.
    pub fn undeclared_proxy(&self, peer: IpAddr, headers: &HeaderMap) -> Option<&'static str> {
        let may_be = self.config.gate.expects_no_proxy && address::is_inside(peer);
        address::FORWARDING.into_iter().find(|name| may_be && headers.contains_key(*name))
    }
}
