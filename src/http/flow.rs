//! Owns the phase of an HTTP connection: idle, receiving a request, or answering it. One request at
//! a time.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{HeaderValue, RETRY_AFTER},
    },
    middleware::Next,
};
use bytes::Bytes;

use super::answer::{error_body, fresh};

/// How long a connection may wait for its next request, and how long a response may wait for a peer
/// that takes nothing of it.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Requests that one connection may make; the last response has `Connection: close`.
const MAX_REQUESTS: u32 = 1000;
/// How long a closing connection may continue to send: closing earlier would destroy the response
/// on its way.
const CLOSING: Duration = Duration::from_secs(2);
/// actix-http answers 408 to a late client, by a clock of half seconds; the deadlines here come
/// after that.
const MARGIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestPhase {
    /// Nothing has arrived since the last response.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// A request is being answered and its body may still arrive.
    Body { is_chunked: bool },
    /// A complete request is being answered; nothing more is read until the response is written.
    Answering,
    /// The response is made but not yet written.
    Answered,
    /// The response is made, and the rest of the request is not read.
    Unread,
    /// No further request is served.
    Closing,
}

/// Shared by a connection's stream and its requests.
pub(super) struct RequestFlow {
    phase: Cell<RequestPhase>,
    since: Cell<Instant>,
    requests: Cell<u32>,
    request_timeout: Duration,
    /// Descriptors are short: plain requests get 503.
    is_spare: bool,
}

impl RequestFlow {
    pub(super) fn new(request_timeout: Duration, is_spare: bool) -> Self {
        Self {
            phase: Cell::new(RequestPhase::Idle),
            since: Cell::new(Instant::now()),
            requests: Cell::new(0),
            request_timeout,
            is_spare,
        }
    }

    pub(super) fn phase(&self) -> RequestPhase {
        self.phase.get()
    }

    pub(super) fn set(&self, phase: RequestPhase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// When the phase has lasted too long; `None` while the server is at work.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let allowed = match self.phase() {
            RequestPhase::Idle if self.requests.get() > 0 => KEEP_ALIVE + MARGIN,
            RequestPhase::Idle | RequestPhase::Head | RequestPhase::Body { .. } => self.request_timeout + MARGIN,
            RequestPhase::Answering | RequestPhase::Answered | RequestPhase::Unread => return None,
            RequestPhase::Closing => CLOSING,
        };
        Some(self.since.get() + allowed)
    }

    /// Returns true while the peer's bytes must wait.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self.phase(), RequestPhase::Answering | RequestPhase::Answered | RequestPhase::Unread)
    }

    /// Notes that everything is written, which ends an answer.
    pub(super) fn flushed(&self) {
        match self.phase() {
            RequestPhase::Answered => self.set(RequestPhase::Idle),
            RequestPhase::Unread => self.set(RequestPhase::Closing),
            _ => {}
        }
    }

    /// Notes that the request's whole body has arrived: nothing more is read until the response is
    /// written.
    pub(super) fn whole(request: &HttpRequest) {
        if let Some(flow) = request.conn_data::<Rc<Self>>()
            && matches!(flow.phase(), RequestPhase::Body { .. })
        {
            flow.set(RequestPhase::Answering);
        }
    }

    /// Begins a request. Returns true if it is the last one of the connection.
    fn begin(&self, request: &ServiceRequest) -> bool {
        let (head, payload) = request.parts();
        self.set(match payload {
            Payload::None => RequestPhase::Answering,
            _ => RequestPhase::Body { is_chunked: head.chunked().unwrap_or(true) },
        });
        self.requests.set(self.requests.get() + 1);
        self.is_spare || self.requests.get() >= MAX_REQUESTS
    }

    fn end(&self) {
        // actix-http reads the rest of a chunked body as long as it arrives; it cuts off any other
        // body.
        let is_unread = self.phase() == RequestPhase::Body { is_chunked: true };
        self.set(if is_unread { RequestPhase::Unread } else { RequestPhase::Answered });
    }
}

/// Marks the response as made when it is dropped: after the last byte, or after an error.
struct Answering(Rc<RequestFlow>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of a response; it is complete when actix-http drops it.
pub(super) struct Tracked {
    body: BoxBody,
    _answering: Option<Answering>,
}

impl MessageBody for Tracked {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// Middleware: tracks the phase of a plain request.
pub(super) async fn follow<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Tracked>, Error> {
    let Some(flow) = request.request().conn_data::<Rc<RequestFlow>>().cloned() else {
        return Ok(next
            .call(request)
            .await?
            .map_into_boxed_body()
            .map_body(|_, body| Tracked { body, _answering: None }));
    };
    let is_last = flow.begin(&request);
    let answering = Answering(flow.clone());
    let mut response = if flow.is_spare {
        request.into_response(overloaded()).map_into_boxed_body()
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    if is_last || flow.phase() == (RequestPhase::Body { is_chunked: true }) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response.map_body(|_, body| Tracked { body, _answering: Some(answering) }))
}

fn overloaded() -> HttpResponse {
    let message = "the server keeps its last open files for players; ask again later";
    let mut response = fresh(StatusCode::SERVICE_UNAVAILABLE, &error_body("overloaded", message));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
