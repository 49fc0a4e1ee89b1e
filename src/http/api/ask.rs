//! Owns what all calls of the operators' API share: authorisation (E1), reading a request, asking a
//! game's shard, and errors.

use std::{fmt, rc::Rc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
    web,
};
use bytestring::ByteString;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    gate::{
        AdminScope, OperatorError,
        credentials::{find_token, query_value},
    },
    http::{
        admission::peer_address,
        answer::{error_body, fresh},
        flow::RequestFlow,
        headers,
        routes::Site,
    },
    protocol::{Cause, FrameError, GameId, HubId, error_code, ids::InvalidId, number::integer_in_query},
    registry::{
        Local, ServerPhase,
        requests::{on_shard, owner},
    },
    room::{KeyHash, KeyMismatch, OperateRefusal},
};

/// The longest `Idempotency-Key`.
const MAX_KEY_BYTES: usize = 255;
/// How long a room may take to answer. While the store begins to fail, no answer comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// An error response with the body of A8 (E1).
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The `Retry-After` header, in seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, code, message: message.into(), retry_after }
    }

    pub(super) fn field(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error_code::INVALID_FIELD, message)
    }

    pub(super) fn too_large(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// For data that is longer than the longest message to a client.
    pub(super) fn message_too_big() -> Self {
        Self::too_large("message_too_big", "data is longer than MAX_MESSAGE_BYTES")
    }

    pub(super) fn unavailable() -> Self {
        let message = "the server cannot do that at the moment; ask again with the same Idempotency-Key";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error_code::UNAVAILABLE, message)
    }

    pub(super) fn mismatch() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, KeyMismatch::CODE, KeyMismatch::MESSAGE)
    }

    pub(super) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.json(error_body(self.code, &self.message))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<OperatorError> for ApiError {
    fn from(error: OperatorError) -> Self {
        let status = match error {
            OperatorError::Missing => StatusCode::UNAUTHORIZED,
            OperatorError::Wrong => StatusCode::FORBIDDEN,
            OperatorError::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            OperatorError::Pending => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut problem = Self::new(status, error.code(), error.to_string());
        if let OperatorError::Limited(left) = error {
            problem.retry_after = Some(left.as_secs() + 1);
        }
        problem
    }
}

impl From<FrameError> for ApiError {
    fn from(error: FrameError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.code, error.message)
    }
}

impl From<OperateRefusal> for ApiError {
    fn from(refused: OperateRefusal) -> Self {
        match refused {
            OperateRefusal::NoSuchGame => Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such game"),
            OperateRefusal::NoSuchPlayer => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "this player has no seat in the game")
            }
            OperateRefusal::Rejected(rejection) => {
                let status = match rejection.code {
                    error_code::STATE_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
                    error_code::CONFLICT => StatusCode::CONFLICT,
                    KeyMismatch::CODE => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::BAD_REQUEST,
                };
                Self::new(status, rejection.code, rejection.message)
            }
            OperateRefusal::Full(limit) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Cause::Overloaded.name(), limit.to_string())
            }
            OperateRefusal::Busy(Cause::Unavailable) => Self::unavailable(),
            OperateRefusal::Busy(cause) => {
                let message = "the game's room keeps failing; ask again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, cause.name(), message)
            }
        }
    }
}

/// Checks E1 for a call about no single game or hub, and refuses calls while the server stops (A6).
pub(super) async fn guard(site: &Site, request: &HttpRequest) -> Result<(), ApiError> {
    let scope = operator(site, request).await?;
    if scope.is_everything() { Ok(()) } else { Err(out_of_scope()) }
}

/// Checks E1 for the game in the path, and returns the game (P1, A11e).
pub(super) async fn guard_game(site: &Site, request: &HttpRequest) -> Result<GameId, ApiError> {
    let scope = operator(site, request).await?;
    let game = id(request, GameId::parse)?;
    if scope.admits_game(game.as_str()) { Ok(game) } else { Err(out_of_scope()) }
}

/// Checks E1 for the hub in the path, and returns the hub (P1, A11e).
pub(super) async fn guard_hub(site: &Site, request: &HttpRequest) -> Result<HubId, ApiError> {
    let scope = operator(site, request).await?;
    let hub = id(request, HubId::parse)?;
    if scope.admits_hub(hub.as_str()) { Ok(hub) } else { Err(out_of_scope()) }
}

async fn operator(site: &Site, request: &HttpRequest) -> Result<AdminScope, ApiError> {
    let token = find_token(headers::last(request.headers(), "authorization").as_deref(), &[], None, false);
    let address = site.admission.client_address(peer_address(request.peer_addr()), request.headers());
    let scope = site.admission.admits_operator(token.as_deref(), address).await?;
    if *site.phase.borrow() == ServerPhase::Draining {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is restarting"));
    }
    Ok(scope)
}

fn out_of_scope() -> ApiError {
    let message = "the token is for another game, hub or proxy alone";
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// The id after `/api/games/` or `/api/hubs/` (P1).
fn id<I>(request: &HttpRequest, parse: impl FnOnce(&str) -> Result<I, InvalidId>) -> Result<I, ApiError> {
    // From the raw path: `match_info` would decode escapes, which P1 does not allow.
    let name = request.uri().path().split('/').nth(3).unwrap_or_default();
    parse(name).map_err(|InvalidId| ApiError::new(StatusCode::BAD_REQUEST, "bad_path", InvalidId.to_string()))
}

pub(super) fn query_text(request: &HttpRequest, name: &str) -> Option<String> {
    request.uri().query().and_then(|query| query_value(query, name))
}

/// A number of the query within these bounds; `None` if it is missing or empty.
pub(super) fn number(request: &HttpRequest, name: &str, min: u64, max: u64) -> Result<Option<u64>, ApiError> {
    let Some(text) = query_text(request, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    match integer_in_query(&text).filter(|number| (min..=max).contains(number)) {
        Some(number) => Ok(Some(number)),
        None if max == u64::MAX => Err(ApiError::field(&format!("{name} is a whole number"))),
        None => Err(ApiError::field(&format!("{name} is a whole number from {min} to {max}"))),
    }
}

/// Reads the body. Call this after authorisation, so that nothing is read of other callers.
pub(super) async fn body(
    site: &Site,
    request: &HttpRequest,
    payload: web::Payload,
    max_bytes: usize,
) -> Result<ByteString, ApiError> {
    let cut = || ApiError::field("the body did not arrive");
    let too_large = || ApiError::too_large("body_too_large", "the body is longer than any event may be");
    let declared = headers::last(request.headers(), header::CONTENT_LENGTH.as_str());
    if declared.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large());
    }
    let read = timeout(site.admission.config.gate.request_timeout, payload.to_bytes_limited(max_bytes));
    let bytes = read.await.map_err(|_| cut())?;
    let bytes = bytes.map_err(|_| too_large())?;
    let bytes = bytes.map_err(|_| cut())?;
    RequestFlow::whole(request);
    ByteString::try_from(bytes).map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, error_code::BAD_JSON, "not UTF-8"))
}

/// Runs `work` on the shard that owns this game.
pub(super) async fn ask<R: Send + 'static, F: Future<Output = Result<R, OperateRefusal>> + 'static>(
    site: &Site,
    game: GameId,
    work: impl FnOnce(Rc<Local>, GameId) -> F + Send + 'static,
) -> Result<R, ApiError> {
    let shard = owner(&site.shards, &game);
    within_patience(async { Ok(on_shard(shard, |local| work(local, game)).await.ok_or_else(ApiError::unavailable)??) })
        .await
}

/// The request's `Idempotency-Key`, hashed with its scope in the log. An invalid header is an error
/// and never counts as absent.
pub(super) fn idempotency_key(request: &HttpRequest, scope: &str) -> Result<Option<KeyHash>, ApiError> {
    let mut values = request.headers().get_all("idempotency-key");
    let Some(key) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::field("Idempotency-Key is given once"));
    }
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    let key = key.ok_or_else(|| ApiError::field("Idempotency-Key is 1 to 255 visible characters"))?;
    Ok(Some(if scope.is_empty() { KeyHash::of(key) } else { KeyHash::of(&format!("{scope}\n{key}")) }))
}

pub(super) async fn within_patience<R>(work: impl Future<Output = Result<R, ApiError>>) -> Result<R, ApiError> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(ApiError::unavailable()))
}

pub(super) fn json(value: &impl Serialize) -> HttpResponse {
    fresh(StatusCode::OK, value)
}

pub(super) fn json_text(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type(header::ContentType::json())
        .body(text)
}
