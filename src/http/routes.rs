//! Owns the plain routes: liveness, readiness, metrics, the client configuration; every other path
//! is a page or 404.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Addr;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde_json::json;
use tokio::sync::watch;
use url::Url;

use super::{
    admission::{Admission, AdmissionRequest, TakeoverClaim, peer_address},
    answer::{fresh, read, refusal_body, resource, timestamp},
    api, headers, pages,
    upgrade::parse_target,
    ws_health::ws_health,
};
use crate::{
    config::Origin,
    protocol::{Refusal, refusal::RefusalForm},
    registry::{Hubs, ServerPhase, Shard},
};

/// The state that the routes share.
#[derive(Clone)]
pub(crate) struct Site {
    pub admission: Admission,
    pub phase: watch::Receiver<ServerPhase>,
    pub started: Instant,
    pub shards: Arc<[Addr<Shard>]>,
    pub hubs: Hubs,
    /// The port that players connect to, if it differs from that of the pages.
    pub ws_port: Option<u16>,
}

/// How long an unreachable issuer keeps the server from being ready. After that it may serve tokens
/// of another issuer, or need none.
const KEYS_PATIENCE: Duration = Duration::from_secs(30);

impl Site {
    /// Returns true if tokens can be checked, or if the issuers have had time to answer.
    fn has_keys(&self) -> bool {
        let is_complete = self.admission.operators.tokens().is_none_or(|tokens| tokens.is_ready());
        is_complete || self.started.elapsed() >= KEYS_PATIENCE
    }
}

/// Which requests a listener serves (`WS_PORT`, `HTTP_PORT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    Everything,
    WebSocketOnly,
    HttpOnly,
}

/// The routes of one listener. Liveness is on all: a load balancer asks the port that it forwards
/// to.
pub(super) fn configure(duty: Duty) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        const READ: &str = "GET, HEAD";
        for path in ["/health", "/api/health"] {
            config.service(resource(path, READ).route(read().to(health)));
        }
        config
            .service(resource("/api/ws-health", READ).route(read().to(ws_health)))
            .service(resource("/ready", READ).route(read().to(ready)));
        if duty != Duty::HttpOnly {
            config.route("/ws", web::to(not_an_upgrade)).route("/ws/{rest:.*}", web::to(not_an_upgrade));
            config.route("/proxy/{rest:.*}", web::to(not_an_upgrade));
        }
        if duty != Duty::WebSocketOnly {
            config
                .service(resource("/metrics", READ).route(read().to(metrics)))
                .service(resource("/api/client-config", READ).route(read().to(client_config)))
                .configure(api::configure);
        }
        config.default_service(if duty == Duty::WebSocketOnly { web::to(not_found) } else { web::to(page) });
    }
}

async fn health(site: web::Data<Site>) -> HttpResponse {
    let metrics = &site.admission.metrics;
    let health = json!({
        "status": "healthy",
        "connections": metrics.connections.get(),
        "sessions": metrics.sessions.get(),
        "rooms": metrics.rooms.get(),
        "uptime_seconds": site.started.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": timestamp(),
    });
    fresh(StatusCode::OK, &health)
}

async fn ready(site: web::Data<Site>) -> HttpResponse {
    let (status, name) = match *site.phase.borrow() {
        // A11a: without a key, each new client would wait for the check of its token.
        ServerPhase::Ready if !site.has_keys() => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        ServerPhase::Ready => (StatusCode::OK, "ready"),
        ServerPhase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        ServerPhase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    fresh(status, &json!({ "status": name }))
}

async fn metrics(site: web::Data<Site>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(site.admission.metrics.encode())
}

async fn client_config(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let config = &site.admission.config;
    let url = websocket_url(&site, &request);
    HttpResponse::Ok().json(json!({
        "websocket": { "enabled": config.gate.disabled_by.is_none(), "url": url },
        "protocol": 1,
        "max_message_bytes": config.connection.max_message_bytes,
    }))
}

fn websocket_url(site: &Site, request: &HttpRequest) -> Option<String> {
    site.admission.config.public.websocket_url.clone().or_else(|| own_url(site, request))
}

/// The WebSocket address of the host that this request names: the best guess without a public
/// address.
fn own_url(site: &Site, request: &HttpRequest) -> Option<String> {
    let host = headers::last(request.headers(), header::HOST.as_str())?;
    let authority: actix_web::http::uri::Authority = host.parse().ok()?;
    let secure = site.admission.config.platform.is_some()
        && request.headers().get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().starts_with(b"https"));
    let scheme = if secure { "wss" } else { "ws" };
    Some(match site.ws_port {
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{authority}"),
    })
}

async fn page(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    pages::answer(&request, websocket_url(&site, &request).as_deref())
}

/// A4: a plain request on a WebSocket path passes admission, so that it is counted and refused
/// alike.
async fn not_an_upgrade(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let peer = peer_address(request.peer_addr());
    let refusal = match parse_target(request.path(), None) {
        Some(_) => Refusal::UpgradeRequired,
        None => Refusal::BadPath,
    };
    let (origin, host) = (headers::origin(request.headers()), headers::last(request.headers(), "host"));
    let attempt = AdmissionRequest {
        address: site.admission.client_address(peer, request.headers()),
        origin: origin.as_deref(),
        host: host.as_deref(),
        proxy: site.admission.undeclared_proxy(peer, request.headers()),
        is_foreign: is_foreign(&site, &request, host.as_deref()),
        request: Err(refusal.clone()),
        claim: TakeoverClaim::None,
    };
    let refusal = site.admission.admit(attempt).await.err().unwrap_or(refusal);
    let status = match refusal.answer() {
        RefusalForm::Status(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        RefusalForm::Close(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = refusal.retry_after_secs() {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    if refusal == Refusal::UpgradeRequired {
        response.insert_header((header::UPGRADE, "websocket"));
    }
    response.json(refusal_body(&refusal))
}

/// Returns true if a page of another origin made the browser send this, for example as an image or
/// a frame. Such requests have no `Origin`.
fn is_foreign(site: &Site, request: &HttpRequest, host: Option<&str>) -> bool {
    if let Some(site) = headers::last(request.headers(), "sec-fetch-site") {
        return !matches!(&*site, "same-origin" | "none");
    }
    let referer = headers::last(request.headers(), header::REFERER.as_str());
    referer.is_some_and(|referer| {
        let page = Url::parse(&referer).ok().and_then(|url| Origin::of(&url));
        page.is_none_or(|page| !site.admission.admits_origin(Some(&page.to_string()), host))
    })
}

/// A listener for WebSocket alone has no pages.
async fn not_found() -> HttpResponse {
    pages::nothing_here()
}
