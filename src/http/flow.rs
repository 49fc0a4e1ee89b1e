//! Owns what one HTTP connection is doing: waiting, sending a request, waiting for its answer. One
//! request at a time.

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

/// How long a connection may wait for its next request, and how long an answer may wait for a peer that takes nothing of it.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Requests that one connection may make; the last answer says `Connection: close`.
const MAX_REQUESTS: u32 = 1000;
/// How long a connection that is to close may go on sending: closing earlier would destroy the answer on its way.
const CLOSING: Duration = Duration::from_secs(2);
/// actix-http tells a late client 408, by a clock of half seconds; what is enforced here comes behind that.
const MARGIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestPhase {
    /// Nothing has come since the last answer.
    Idle,
    /// A request's head has begun to come.
    Head,
    /// A request is being answered whose body may still come.
    Body { is_chunked: bool },
    /// A whole request is being answered: nothing more is read until the answer is written.
    Answering,
    /// The answer is made, not yet written.
    Answered,
    /// The answer is made, and nobody reads the rest of the request.
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
    /// Descriptors are short: a plain request is refused.
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

    /// When the phase has lasted too long; `None` while the server itself works.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let allowed = match self.phase() {
            RequestPhase::Idle if self.requests.get() > 0 => KEEP_ALIVE + MARGIN,
            RequestPhase::Idle | RequestPhase::Head | RequestPhase::Body { .. } => self.request_timeout + MARGIN,
            RequestPhase::Answering | RequestPhase::Answered | RequestPhase::Unread => return None,
            RequestPhase::Closing => CLOSING,
        };
        Some(self.since.get() + allowed)
    }

    /// Whether the peer's bytes have to wait.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self.phase(), RequestPhase::Answering | RequestPhase::Answered | RequestPhase::Unread)
    }

    /// Everything that was to be written is written.
    pub(super) fn flushed(&self) {
        match self.phase() {
            RequestPhase::Answered => self.set(RequestPhase::Idle),
            RequestPhase::Unread => self.set(RequestPhase::Closing),
            _ => {}
        }
    }

    /// The body of the request that is being answered is here: nothing more is read until the answer is written.
    pub(super) fn whole(request: &HttpRequest) {
        if let Some(flow) = request.conn_data::<Rc<Self>>()
            && matches!(flow.phase(), RequestPhase::Body { .. })
        {
            flow.set(RequestPhase::Answering);
        }
    }

    /// Whether this is the last request that the connection may make.
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
        // actix-http reads the rest of a chunked body for as long as it comes; the rest of any other it cuts off itself.
        let is_unread = self.phase() == RequestPhase::Body { is_chunked: true };
        self.set(if is_unread { RequestPhase::Unread } else { RequestPhase::Answered });
    }
}

/// Ends the answer when it is dropped: after its last byte, or with an error in its place.
struct Answering(Rc<RequestFlow>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer, which is over when actix-http drops it.
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

/// Follows a plain request through the server.
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
