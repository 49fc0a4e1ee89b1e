//! Owns the tests of outgoing connections, each against a real socket that behaves well or badly.

mod hostile;

use std::{io::Write as _, net::Ipv4Addr};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_tungstenite::{
    WebSocketStream, accept_async, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

use futures_util::{SinkExt as _, StreamExt as _};

use super::*;
use crate::config::Secret;

const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "sk-very-secret";

fn endpoint(url: &str) -> EndpointConfig {
    EndpointConfig {
        url: Secret::new(url),
        host: "upstream.test".to_owned(),
        headers: vec![("Authorization".to_owned(), Secret::new(format!("Bearer {KEY}")))],
        connect_timeout: PATIENCE,
        max_message_bytes: 200_000,
        allow_insecure: false,
        max_sent_bytes: 200_000,
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Echoes every message.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).await.expect("the client reads");
        }
    }
}

/// Echoes on one plain connection.
async fn serve_echo() -> u16 {
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        echo(accept_async(stream).await.expect("a handshake")).await;
    });
    port
}

/// A certificate authority for this test: its file, and the setting of a server with its
/// certificate for `name`.
fn authority(name: &str) -> (tempfile::NamedTempFile, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(issuer.pem().as_bytes()).expect("written");
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    (file, TlsAcceptor::from(Arc::new(config)))
}

fn dialer() -> Dialer {
    Dialer::new(None).expect("the public roots")
}

async fn dial(url: &str) -> Result<(LinkReader, LinkWriter), DialError> {
    dialer().dial(&endpoint(url), None).await
}

/// Checks that the error shows no secret.
fn failure(result: Result<(LinkReader, LinkWriter), DialError>) -> DialFailure {
    let error = result.err().expect("no connection");
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(shown.starts_with("upstream.test: "), "{shown}");
    for secret in [KEY, "apikey"] {
        assert!(!shown.contains(secret) && !debug.contains(secret), "{shown} {debug}");
    }
    error.failure
}

async fn text(reader: &mut LinkReader) -> String {
    match reader.next().await {
        Some(Ok(Incoming::Text(text))) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[actix_rt::test]
async fn text_and_binary_go_both_ways_over_plain_loopback() {
    let port = serve_echo().await;
    // A scheme has no case (RFC 3986).
    let (mut reader, mut writer) = dial(&format!("WS://127.0.0.1:{port}/x")).await.expect("connected");
    writer.send(Outgoing::Text("grüße".into())).await.expect("sent");
    assert_eq!(text(&mut reader).await, "grüße");
    let large: Bytes = (0..100_000_u32).map(|i| i as u8).collect();
    writer.feed(Outgoing::Binary(large.clone())).await.expect("fed");
    writer.flush().await.expect("flushed");
    assert_eq!(reader.next().await, Some(Ok(Incoming::Binary(large))));
    writer.send(Outgoing::Ping).await.expect("sent");
    assert_eq!(reader.next().await, Some(Ok(Incoming::Pong)));
}

#[actix_rt::test]
async fn the_handshake_carries_the_headers_and_the_path_that_was_asked_for() {
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut seen = None;
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let note = |request: &Request, response: Response| {
            let authorization = request.headers().get("authorization").map(|value| value.as_bytes().to_vec());
            seen = Some((request.uri().to_string(), authorization));
            Ok(response)
        };
        accept_hdr_async(stream, note).await.expect("a handshake");
        seen.expect("a request")
    });
    let endpoint = endpoint(&format!("ws://localhost:{port}/own?apikey=1"));
    dialer().dial(&endpoint, Some("/other?model=m")).await.expect("connected");
    let (uri, authorization) = served.await.expect("served");
    assert_eq!(uri, "/other?model=m");
    assert_eq!(authorization, Some(format!("Bearer {KEY}").into_bytes()));
}

#[actix_rt::test]
async fn wss_works_with_a_certificate_of_an_authority_in_ca_file() {
    let (ca_file, acceptor) = authority("localhost");
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let stream = acceptor.accept(stream).await.expect("TLS");
        echo(accept_async(stream).await.expect("a handshake")).await;
    });
    let dialer = Dialer::new(Some(ca_file.path())).expect("the file");
    let endpoint = endpoint(&format!("wss://localhost:{port}"));
    let (mut reader, mut writer) = dialer.dial(&endpoint, None).await.expect("connected");
    let large = "x".repeat(150_000);
    writer.send(Outgoing::Text(large.clone().into())).await.expect("sent");
    assert_eq!(text(&mut reader).await, large);
}

#[actix_rt::test]
async fn a_certificate_that_nobody_vouches_for_or_of_another_name_is_refused() {
    let (ca_file, acceptor) = authority("elsewhere.test");
    let trusting = Dialer::new(Some(ca_file.path())).expect("the file");
    for dialer in [dialer(), trusting] {
        let (listener, port) = listen().await;
        let acceptor = acceptor.clone();
        actix_rt::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            assert!(acceptor.accept(stream).await.is_err());
        });
        let refused = dialer.dial(&endpoint(&format!("wss://localhost:{port}/?apikey=1")), None).await;
        assert!(matches!(failure(refused), DialFailure::Tls(_)));
    }
}

#[test]
fn a_ca_file_that_is_missing_or_holds_nothing_is_an_error_that_names_it() {
    let empty = tempfile::NamedTempFile::new().expect("a file");
    for path in [empty.path(), Path::new("/no/such/file.pem")] {
        let error = Dialer::new(Some(path)).err().expect("an error");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[actix_rt::test]
async fn ws_to_another_machine_is_refused_before_anything_is_sent() {
    // An address for documentation (RFC 5737), where no host answers: a timeout would be another
    // failure.
    assert_eq!(failure(dial("ws://192.0.2.1:9/?apikey=1").await), DialFailure::NotSecure);
    // The operator allows private networks, and this is not one.
    let allowed = EndpointConfig { allow_insecure: true, ..endpoint("ws://8.8.8.8:9/?apikey=1") };
    assert_eq!(failure(dialer().dial(&allowed, None).await), DialFailure::NotPrivate);
    // A private address is tried, with any result.
    let allowed = EndpointConfig {
        allow_insecure: true,
        connect_timeout: Duration::from_millis(200),
        ..endpoint("ws://10.255.255.1:9/?apikey=1")
    };
    let tried = failure(dialer().dial(&allowed, None).await);
    assert!(!matches!(tried, DialFailure::NotSecure | DialFailure::NotPrivate), "{tried:?}");
}

#[actix_rt::test]
async fn a_peer_that_never_answers_is_given_up_after_the_timeout() {
    let (listener, port) = listen().await;
    for scheme in ["ws", "wss"] {
        let silent = EndpointConfig {
            connect_timeout: Duration::from_millis(100),
            ..endpoint(&format!("{scheme}://127.0.0.1:{port}/?apikey=1"))
        };
        assert_eq!(failure(dialer().dial(&silent, None).await), DialFailure::Timeout);
    }
    drop(listener);
    assert!(matches!(failure(dial(&format!("ws://127.0.0.1:{port}")).await), DialFailure::Connect(_)));
}

/// Answers one handshake with this.
async fn serve_answer(answer: String) -> u16 {
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(answer.as_bytes()).await.expect("answered");
    });
    port
}

#[actix_rt::test]
async fn a_peer_that_asks_to_be_left_alone_says_for_how_long_in_seconds_or_by_a_date() {
    let date = |seconds: u64| HttpDate::from(SystemTime::now() + Duration::from_secs(seconds)).to_string();
    for (status, value, least, most) in [
        (429, "7".to_owned(), 7, 7),
        (503, " 120 ".to_owned(), 120, 120),
        (429, date(60), 50, 60),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 0, 0),
    ] {
        let answer = format!("HTTP/1.1 {status} No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let refused = dial(&format!("ws://127.0.0.1:{}", serve_answer(answer).await)).await;
        let pause = refused.err().and_then(|error| error.retry_after()).expect("a pause").as_secs();
        assert!((least..=most).contains(&pause), "{value}: {pause}");
    }
    for (status, value) in [(429, "soon"), (429, "-1"), (404, "7")] {
        let answer = format!("HTTP/1.1 {status} No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let refused = dial(&format!("ws://127.0.0.1:{}", serve_answer(answer).await)).await;
        assert_eq!(refused.err().expect("refused").retry_after(), None, "{value}");
    }
}

#[actix_rt::test]
async fn refusals_and_redirects_are_told_with_their_status() {
    for status in [301_u16, 401, 403, 404, 429, 500] {
        let port =
            serve_answer(format!("HTTP/1.1 {status} No\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
                .await;
        let refused = dial(&format!("ws://127.0.0.1:{port}/?apikey=1")).await;
        assert_eq!(refused.as_ref().err().and_then(DialError::status), Some(status));
        assert_eq!(failure(refused), DialFailure::Status(status, None));
    }
}

#[actix_rt::test]
async fn what_is_no_websocket_is_no_connection() {
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: wrong\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.expect("answered");
    });
    assert!(matches!(failure(dial(&format!("ws://127.0.0.1:{port}")).await), DialFailure::Handshake(_)));
    for url in ["http://127.0.0.1/?apikey=1", "apikey", "wss://"] {
        assert_eq!(failure(dial(url).await), DialFailure::BadEndpoint, "{url}");
    }
}

/// Accepts one connection and writes these bytes after the handshake.
async fn serve_bytes(bytes: Vec<u8>) -> u16 {
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept_async(stream).await.expect("a handshake");
        socket.get_mut().write_all(&bytes).await.expect("written");
        // Stays open: only the client may end the connection.
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    });
    port
}

#[actix_rt::test]
async fn a_message_over_the_bound_is_refused_by_its_declared_length() {
    let mut header = vec![0x82, 127];
    header.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    let port = serve_bytes(header).await;
    let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(reader.next().await, Some(Err(LinkError::TooBig)));
    assert_eq!(reader.next().await, None);
}

#[actix_rt::test]
async fn fragments_count_as_their_sum() {
    // Three fragments of 80,000 bytes, none of them the last, are more than 200,000.
    let mut bytes = Vec::new();
    for first in [0x02_u8, 0x00, 0x00] {
        bytes.extend_from_slice(&[first, 127]);
        bytes.extend_from_slice(&80_000_u64.to_be_bytes());
        bytes.resize(bytes.len() + 80_000, b'x');
    }
    let port = serve_bytes(bytes).await;
    let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(reader.next().await, Some(Err(LinkError::TooBig)));
}

#[actix_rt::test]
async fn pings_are_answered_while_one_reads() {
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept_async(stream).await.expect("a handshake");
        socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.expect("sent");
        let answer = socket.next().await.expect("an answer").expect("a frame");
        socket.send(Message::text("thanks")).await.expect("sent");
        answer
    });
    let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(text(&mut reader).await, "thanks");
    assert_eq!(served.await.expect("served"), Message::Pong(Bytes::from_static(b"there?")));
}

#[actix_rt::test]
async fn a_close_frame_is_passed_on_and_answered() {
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept_async(stream).await.expect("a handshake");
        let frame = CloseFrame { code: 4321.into(), reason: "enough".into() };
        socket.close(Some(frame)).await.expect("closed");
        socket.next().await.expect("an answer").expect("a frame")
    });
    let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(reader.next().await, Some(Ok(Incoming::Close(Some((4321, "enough".to_owned()))))));
    assert_eq!(reader.next().await, None);
    let frame = CloseFrame { code: 4321.into(), reason: "enough".into() };
    assert_eq!(served.await.expect("served"), Message::Close(Some(frame)));
}

#[actix_rt::test]
async fn our_close_frame_arrives_with_a_reason_that_fits_and_a_lost_peer_is_told_as_lost() {
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept_async(stream).await.expect("a handshake");
        let closed = socket.next().await.expect("a frame").expect("a frame");
        // Ends without a reply.
        drop(listener);
        closed
    });
    let (mut reader, mut writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    writer.send(Outgoing::Close(1000, "é".repeat(100))).await.expect("sent");
    let Message::Close(Some(frame)) = served.await.expect("served") else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1000, "é".repeat(61).as_str()));
    assert!(writer.send(Outgoing::Ping).await.is_err(), "nothing is sent behind a close frame");
    assert!(matches!(reader.next().await, Some(Err(LinkError::Lost)) | None));
}
