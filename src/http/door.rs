//! Owns admission as a request meets it: the checks of section 2 in their order, logged and counted.
//! Called by `upgrade` for handshakes and by `routes` for plain requests to WebSocket paths.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::Addr;
use actix_http::header::HeaderMap;
use slog::Logger;

use crate::{
    config::{AuthMode, Config},
    gate::{OperatorError, Operators, address, origin},
    observe::{
        log::{SecurityFields, security},
        metrics::Metrics,
    },
    protocol::Refusal,
    registry::{Permit, Registry, messages::Admit},
};

/// What admission looks at; header values as they came.
#[derive(Debug, Clone)]
pub struct Knock<'a> {
    pub address: IpAddr,
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    /// A4, judged by the caller.
    pub request: Result<(), Refusal>,
}

/// The way in; one per HTTP worker.
#[derive(Clone)]
pub struct Door {
    pub config: Arc<Config>,
    pub registry: Addr<Registry>,
    pub logger: Logger,
    pub metrics: Arc<Metrics>,
    pub operators: Arc<Operators>,
}

/// The last header of this name: the one the nearest proxy added.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).last()?.to_str().ok()
}

/// The address at the other end of the socket.
pub(super) fn peer_address(peer: Option<SocketAddr>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
}

impl Door {
    /// A1 to A6.
    ///
    /// # Errors
    /// The first refusal in the order of the table.
    pub async fn knock(&self, knock: Knock<'_>) -> Result<Permit, Refusal> {
        let decided = self.decide(&knock).await;
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

    async fn decide(&self, knock: &Knock<'_>) -> Result<Permit, Refusal> {
        let gate = &self.config.gate;
        if let Some(setting) = gate.disabled_by {
            return Err(Refusal::Disabled(setting));
        }
        if !self.admits_origin(knock.origin, knock.host) {
            return Err(Refusal::InvalidOrigin);
        }
        let admit = Admit { address: knock.address, request: knock.request.clone() };
        // The registry lives as long as the process; without it nobody can be let in.
        self.registry.send(admit).await.unwrap_or(Err(Refusal::Draining { retry_after: Duration::from_secs(1) }))
    }

    /// A9.
    pub fn admits_origin(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let gate = &self.config.gate;
        let open = matches!(gate.auth.mode, AuthMode::Open);
        origin::admits(gate.allowed_origins.as_deref(), origin, host, open)
    }

    /// E1, for a request with this token.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn admits_operator(&self, token: Option<&str>) -> Result<(), OperatorError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.operators.check(token, now.as_secs()).map(|_| ())
    }

    /// The client's address: the trusted proxy's word where there is one, else the socket's.
    pub fn client_address<'a>(&self, peer: IpAddr, header: impl Fn(&str) -> Option<&'a str>) -> IpAddr {
        let name = self.config.gate.client_ip_header.as_deref();
        address::client_address(peer, name.and_then(|name| header(name).map(|value| (name, value))))
    }
}
