//! Owns the upgrade: checks and answers the handshake, and sends the socket to its shard.

use std::{
    borrow::Cow,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::Addr;
use actix_codec::Framed;
use actix_http::{Request, h1::Codec, header, ws};
use actix_rt::net::TcpStream;
use ecow::EcoVec;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{
    admission::{Admission, AdmissionRequest, TakeoverClaim, peer_address},
    answer::{error_body, refusal_body},
    headers,
    stream::Stream,
};
use crate::{
    connection::{AdmittedSocket, Connection, Credentials, Terms, turn_away},
    gate::credentials::{choose_subprotocol, find_token, offered_subprotocols, query_value},
    protocol::{
        Cause, DisplayName, GameId, HubId, InvalidName, PlayerId, ProxyId, Refusal, number::integer_in_query,
        refusal::RefusalForm,
    },
    registry::{
        Destination, Shard,
        messages::RunOnShard,
        requests::{owner, shard_index},
    },
};

/// How long a peer may take to accept the few bytes of the response.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What an HTTP worker needs to upgrade connections.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub admission: Admission,
    pub shards: Arc<[Addr<Shard>]>,
    pub terms: Arc<Terms>,
    /// Counts connections that are for no game and no existing proxy session. They go to the shards
    /// in turn.
    pub visitors: Arc<AtomicUsize>,
}

/// A parsed handshake, as far as admission needs it.
struct Handshake {
    address: IpAddr,
    target: Result<Destination, Refusal>,
    credentials: Credentials,
    accept: [u8; 28],
    subprotocol: Option<String>,
}

impl Entrance {
    /// Answers one upgrade request. An error means that the peer is gone.
    ///
    /// The future holds what was read from the request, not the request: in a rush thousands of
    /// them wait, and an `async fn` would hold each argument twice.
    pub(super) fn enter(self, request: Request, framed: Framed<Stream, Codec>) -> impl Future<Output = io::Result<()>> {
        let parts = framed.into_parts();
        let (mut stream, place) = parts.io.into_parts();
        let (early, pending) = (parts.read_buf.to_vec(), parts.write_buf.to_vec());
        let handshake = self.read(&request);
        let headers = &request.head().headers;
        let origin = headers::origin(headers).map(Cow::into_owned);
        let host = headers::last(headers, header::HOST.as_str()).map(Cow::into_owned);
        let proxy = self.admission.undeclared_proxy(peer_address(request.head().peer_addr), headers);
        drop(request);
        async move {
            let _place = place;
            if !pending.is_empty() {
                // Responses to earlier requests on this connection come first.
                answer(&mut stream, &pending).await?;
            }
            let attempt = AdmissionRequest {
                address: handshake.address,
                origin: origin.as_deref(),
                host: host.as_deref(),
                proxy,
                is_foreign: false,
                request: handshake.target.as_ref().map(|_| ()).map_err(Clone::clone),
                claim: handshake
                    .target
                    .as_ref()
                    .map_or(TakeoverClaim::None, |target| self.claim(target, &handshake.credentials)),
            };
            let decided = self.admission.admit(attempt).await;
            let accepted = accepted(handshake.accept, handshake.subprotocol.as_deref());
            match (decided, handshake.target) {
                (Ok(permit), Ok(target)) => {
                    answer(&mut stream, &accepted).await?;
                    let (address, credentials, terms) = (handshake.address, handshake.credentials, self.terms.clone());
                    let shard = self.shard(&target);
                    let admission = AdmittedSocket { address, credentials, permit, terms };
                    let stream = stream.into_std()?;
                    let adopt = RunOnShard(Box::new(move |local| {
                        Connection::open(stream, &early, target.on(local), admission, local);
                    }));
                    shard.send(adopt).await.map_err(io::Error::other)
                }
                (Err(refusal), target) => match refusal.answer() {
                    RefusalForm::Status(status) => answer(&mut stream, &refused(status, &refusal)).await,
                    RefusalForm::Close(cause) => {
                        answer(&mut stream, &accepted).await?;
                        self.close_refused(stream.into_std()?, cause, &refusal, target.ok()).await
                    }
                },
                // Unreachable: a bad target is a refusal, so it never has a permit.
                (Ok(_), Err(refusal)) => answer(&mut stream, &refused(400, &refusal)).await,
            }
        }
    }

    /// Answers an upgrade request on `HTTP_PORT`, which does not serve players.
    pub(super) fn point_elsewhere(framed: Framed<Stream, Codec>) -> impl Future<Output = io::Result<()>> {
        let (mut stream, place) = framed.into_parts().io.into_parts();
        async move {
            let _place = place;
            let body = error_body("not_found", "this port is HTTP_PORT; players connect to WS_PORT");
            answer(&mut stream, &response(404, "", &body)).await
        }
    }

    async fn close_refused(
        &self,
        stream: std::net::TcpStream,
        cause: Cause,
        refusal: &Refusal,
        target: Option<Destination>,
    ) -> io::Result<()> {
        let Some(target) = target else { return Ok(()) };
        let (refusal, offended) = (refusal.clone(), target.clone());
        let adopt = RunOnShard(Box::new(move |local| {
            turn_away(stream, &refusal, cause, offended.on(local).errors(), local);
        }));
        self.shard(&target).send(adopt).await.map_err(io::Error::other)
    }

    /// A5a: where this connection's claim to replace another one is, if it may have any.
    /// Subscribers replace none.
    fn claim(&self, target: &Destination, credentials: &Credentials) -> TakeoverClaim {
        let needs_token = self.terms.guards.tokens.is_some();
        let shows = match target {
            Destination::Seat { .. } if needs_token => true,
            Destination::Seat { .. } => credentials.session.is_some() && !credentials.spectate,
            Destination::Proxy { .. } => credentials.session.is_some(),
            Destination::Hub(_) | Destination::ServerHub(_) => false,
        };
        match shows {
            true if needs_token && credentials.token.is_none() => TakeoverClaim::InFrame,
            true => TakeoverClaim::InHandshake,
            false => TakeoverClaim::None,
        }
    }

    /// Returns the target's shard. A game has one shard for the life of the process. A hub is on
    /// every shard. A proxy session stays on the shard of its first connection: the hash of its
    /// secret leads there again.
    fn shard(&self, target: &Destination) -> &Addr<Shard> {
        match target {
            Destination::Seat { game, .. } => owner(&self.shards, game),
            Destination::Proxy { query: Some(query), .. } if let Some(session) = query_value(query, "session") => {
                &self.shards[shard_index(&session, self.shards.len())]
            }
            _ => &self.shards[self.visitors.fetch_add(1, Ordering::Relaxed) % self.shards.len()],
        }
    }

    fn read(&self, request: &Request) -> Handshake {
        let head = request.head();
        let peer = peer_address(head.peer_addr);
        let query = head.uri.query();
        let lines = head.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offered = offered_subprotocols(lines.map(header::HeaderValue::as_bytes));
        let target = match ws::verify_handshake(head) {
            Ok(()) => match strictly(head) {
                Ok(()) => parse_target(head.uri.path(), query).ok_or(Refusal::BadPath),
                Err(why) => Err(Refusal::BadHandshake(why)),
            },
            Err(error) => Err(bad_handshake(&error)),
        };
        let at_proxy = matches!(target, Ok(Destination::Proxy { .. }));
        let key = head.headers.get(header::SEC_WEBSOCKET_KEY);
        let value = |name| query.and_then(|query| query_value(query, name));
        let (mut seen, mut objections) = (None, EcoVec::new());
        if let Some(seq) = value("seq").filter(|seq| !seq.is_empty()) {
            seen = integer_in_query(&seq);
            objections.extend(seen.is_none().then_some("seq is an integer from 0 to 2^53-1"));
        }
        // Only rooms take a name: a proxy's query is its upstream's, and a hub has no seats.
        let at_room = matches!(target, Ok(Destination::Seat { .. }));
        let name = value("name").filter(|_| at_room).map(|name| DisplayName::parse(&name));
        objections.extend(matches!(name, Some(Err(_))).then_some(InvalidName::RULE));
        Handshake {
            address: self.admission.client_address(peer, &head.headers),
            target,
            credentials: Credentials {
                token: find_token(
                    headers::last(&head.headers, header::AUTHORIZATION.as_str()).as_deref(),
                    &offered,
                    query,
                    at_proxy,
                ),
                session: value("session"),
                seen,
                spectate: value("spectate").is_some_and(|spectate| spectate == "1"),
                name: name.and_then(Result::ok),
                wants_names: value("names").is_some_and(|names| names == "1"),
                objections,
            },
            accept: ws::hash_key(key.map_or(b"", |key| key.as_bytes())),
            subprotocol: choose_subprotocol(&offered, at_proxy).map(str::to_owned),
        }
    }
}

/// Parses `/ws/{game}/{player}`, `/ws/{hub}`, `/proxy/{name}` or `/proxy/{name}/realtime`, and
/// nothing else (P1, X6).
pub(super) fn parse_target(path: &str, query: Option<&str>) -> Option<Destination> {
    if let Some(proxy) = path.strip_prefix("/proxy/") {
        // X6: OpenAI's clients append this to any address.
        let proxy = ProxyId::parse(proxy.strip_suffix("/realtime").unwrap_or(proxy)).ok()?;
        return Some(Destination::Proxy { proxy, query: query.map(str::to_owned) });
    }
    let rest = path.strip_prefix("/ws/")?;
    let Some((game, player)) = rest.split_once('/') else {
        let server_hub = HubId::server();
        return if rest == server_hub.as_str() {
            Some(Destination::ServerHub(server_hub))
        } else {
            HubId::parse(rest).ok().map(Destination::Hub)
        };
    };
    Some(Destination::Seat { game: GameId::parse(game).ok()?, player: PlayerId::parse(player).ok()? })
}

/// Checks the rules of RFC 6455 and HTTP for a handshake that actix-http does not check.
fn strictly(head: &actix_http::RequestHead) -> Result<(), &'static str> {
    let several = |name: header::HeaderName| headers::count(&head.headers, name.as_str()) > 1;
    if head.version < actix_http::Version::HTTP_11 {
        return Err("the request must be HTTP/1.1");
    }
    if several(header::SEC_WEBSOCKET_KEY) {
        return Err("Sec-WebSocket-Key must be there once");
    }
    if several(header::SEC_WEBSOCKET_VERSION) {
        return Err("Sec-WebSocket-Version must be there once");
    }
    if several(header::HOST) {
        return Err("Host must be there once");
    }
    if several(header::AUTHORIZATION) {
        return Err("Authorization may be there once");
    }
    let has_body = headers::items(&head.headers, header::CONTENT_LENGTH.as_str()).iter().any(|length| length != "0");
    if has_body || headers::count(&head.headers, header::TRANSFER_ENCODING.as_str()) > 0 {
        return Err("the request must have no body");
    }
    Ok(())
}

fn bad_handshake(error: &ws::HandshakeError) -> Refusal {
    use ws::HandshakeError as E;
    Refusal::BadHandshake(match error {
        E::GetMethodRequired => "the method must be GET",
        E::NoWebsocketUpgrade => "Upgrade must be websocket",
        E::NoConnectionUpgrade => "Connection must be upgrade",
        E::NoVersionHeader | E::UnsupportedVersion => "Sec-WebSocket-Version must be 13",
        E::BadWebsocketKey => "Sec-WebSocket-Key is missing or wrong",
    })
}

async fn answer(stream: &mut TcpStream, response: &[u8]) -> io::Result<()> {
    timeout(ANSWER_TIMEOUT, stream.write_all(response)).await?
}

fn accepted(accept: [u8; 28], subprotocol: Option<&str>) -> Vec<u8> {
    let mut head =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            .to_vec();
    head.extend_from_slice(&accept);
    if let Some(subprotocol) = subprotocol {
        head.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        head.extend_from_slice(subprotocol.as_bytes());
    }
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn refused(status: u16, refusal: &Refusal) -> Vec<u8> {
    let mut headers = String::new();
    if let Some(seconds) = refusal.retry_after_secs() {
        headers = format!("Retry-After: {seconds}\r\n");
    }
    if matches!(refusal, Refusal::BadHandshake(_)) {
        headers.push_str("Sec-WebSocket-Version: 13\r\n");
    }
    response(status, &headers, &refusal_body(refusal))
}

/// `headers` are complete lines.
pub(super) fn response(status: u16, headers: &str, body: &serde_json::Value) -> Vec<u8> {
    let reason = actix_http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let (reason, body) = (reason.unwrap_or("Refused"), body.to_string());
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_only_a_seat_a_hub_or_a_proxy_makes_a_target() {
        let parse = |path| parse_target(path, Some("model=x"));
        assert!(matches!(parse("/ws/test-game/alice"), Some(Destination::Seat { .. })));
        assert!(matches!(parse("/ws/options"), Some(Destination::Hub(hub)) if hub.as_str() == "options"));
        assert!(matches!(parse("/proxy/openai"), Some(Destination::Proxy { proxy, query })
            if proxy.as_str() == "openai" && query.as_deref() == Some("model=x")));
        for (path, name) in [
            ("/proxy/openai/realtime", "openai"),
            ("/proxy/realtime", "realtime"),
            ("/proxy/realtime/realtime", "realtime"),
        ] {
            assert!(matches!(parse(path), Some(Destination::Proxy { proxy, .. }) if proxy.as_str() == name), "{path}");
        }
        assert!(matches!(parse("/ws/_server"), Some(Destination::ServerHub(hub)) if hub == HubId::server()));
        for path in [
            "/ws",
            "/ws/",
            "/ws/g/",
            "/ws//p",
            "/ws/g/p/",
            "/ws/g/p/q",
            "/ws/../p",
            "/ws/g/%2f",
            "/x/g/p",
            "/ws/_server/",
            "/ws/_server/p",
            "/ws/_Server",
            "/ws/%5fserver",
            "/ws/_other",
            "/ws/g/_server",
            "/proxy",
            "/proxy/",
            "/proxy/_x",
            "/proxy/openai/",
            "/proxy/openai/v1",
            "/proxy/openai/realtime/",
            "/proxy/openai/realtime/realtime",
            "/proxy//realtime",
        ] {
            assert!(parse_target(path, None).is_none(), "{path}");
        }
    }
}
