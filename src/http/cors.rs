//! Owns the HTTP API's cross-origin headers: the allow-list is that of WebSocket (A9).

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header, header::HeaderValue},
    middleware::Next,
    web,
};

use super::{headers, routes::Site};

/// Middleware: lets pages of admitted origins read the responses, and answers their preflights.
pub(super) async fn allow_origins<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let headers = request.headers();
    let (origin, host) = (headers::origin(headers), headers::last(headers, header::HOST.as_str()));
    let site = request.app_data::<web::Data<Site>>();
    let admitted = origin
        .filter(|origin| site.is_some_and(|site| site.admission.admits_origin(Some(origin), host.as_deref())))
        .and_then(|origin| HeaderValue::from_str(&origin).ok());
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        let mut preflight = HttpResponse::NoContent();
        if admitted.is_some() {
            preflight
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, DELETE, OPTIONS"))
                .insert_header((
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    "authorization, content-type, idempotency-key, last-event-id, x-innkeeper-session",
                ))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"));
        }
        request.into_response(preflight.finish()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = admitted {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    Ok(response)
}
