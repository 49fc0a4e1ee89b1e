//! Owns outgoing WebSocket connections: resolving, connecting, TLS and the handshake, all within
//! one time limit.

mod error;
mod link;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_web::http::header::HttpDate;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        Error as Trouble,
        client::IntoClientRequest as _,
        handshake::client::Request,
        http::{HeaderName, HeaderValue, Uri, header::RETRY_AFTER, uri::PathAndQuery},
        protocol::WebSocketConfig,
    },
};
use url::Host;

use self::transport::Transport;
pub(crate) use self::{
    error::{DialError, DialFailure, LinkError},
    link::{Incoming, LinkReader, LinkWriter, Outgoing},
    transport::ByteStream,
};
use crate::config::feeds::{EndpointConfig, is_private};

/// Size of a read. The library clears a buffer of this size before each attempt, so a larger one
/// costs more.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// Frames are collected up to this size before they are written, unless they are flushed.
const WRITE_BUFFER_BYTES: usize = 32 * 1024;
/// How long a peer may be silent before the kernel probes it, and the interval of the probes.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Opens WebSocket connections to upstreams. Cheap to clone; clones share the trusted certificates.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: TlsConnector,
}

impl Dialer {
    /// `ca_file` is a PEM file of certificates to trust in addition to the public ones.
    ///
    /// # Errors
    /// Fails if the file cannot be read or contains no certificate; the text names the file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let own = own_certificates(path).map_err(|why| format!("{}: {why}", path.display()))?;
            for certificate in own {
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        // Names the provider explicitly, so that one installed for the process by another crate is
        // not used.
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // HTTP/2 opens a WebSocket in another way.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Opens a connection, in total within `endpoint.connect_timeout`. `path_and_query` replaces
    /// that of the URL and begins with `/`. Redirects are not followed.
    ///
    /// # Errors
    /// Returns a [`DialError`], which shows neither the URL nor a header.
    pub(crate) async fn dial(
        &self,
        endpoint: &EndpointConfig,
        path_and_query: Option<&str>,
    ) -> Result<(LinkReader, LinkWriter), DialError> {
        let named = |failure| DialError { host: endpoint.host.clone(), failure };
        let opening = self.open(endpoint, path_and_query);
        match timeout(endpoint.connect_timeout, opening).await {
            Ok(opened) => opened.map_err(named),
            Err(_) => Err(named(DialFailure::Timeout)),
        }
    }

    async fn open(
        &self,
        endpoint: &EndpointConfig,
        path_and_query: Option<&str>,
    ) -> Result<(LinkReader, LinkWriter), DialFailure> {
        let deadline = Instant::now() + endpoint.connect_timeout;
        let request = request(endpoint, path_and_query).ok_or(DialFailure::BadEndpoint)?;
        let uri = request.uri();
        let is_secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(DialFailure::BadEndpoint),
        };
        let host = match Host::parse(uri.host().unwrap_or_default()).map_err(|_| DialFailure::BadEndpoint)? {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            // `Host` alone would write it in brackets.
            Host::Ipv6(address) => address.to_string(),
        };
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });

        let addresses: Vec<SocketAddr> =
            lookup_host((host.as_str(), port)).await.map_err(|error| DialFailure::Resolve(error.kind()))?.collect();
        if !is_secure && !addresses.iter().all(|address| may_be_plain(address.ip(), endpoint.allow_insecure)) {
            return Err(if endpoint.allow_insecure { DialFailure::NotPrivate } else { DialFailure::NotSecure });
        }
        let stream = connect(&addresses, NearEnd::default(), deadline).await?;
        let transport = Transport::new(self.secured(stream, host, is_secure).await?);

        // Both bounds apply to declared lengths; the second also to the sum of fragments.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            // Replies to pings are also queued here, even if the peer does not read: see
            // `LinkError::Unread`.
            .max_write_buffer_size(2 * WRITE_BUFFER_BYTES + endpoint.max_sent_bytes)
            .max_frame_size(Some(endpoint.max_message_bytes))
            .max_message_size(Some(endpoint.max_message_bytes));
        match client_async_with_config(request, transport, Some(config)).await {
            Ok((socket, _)) => Ok(link::split(socket)),
            Err(Trouble::Http(response)) => {
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(|text| retry_after_of(text, SystemTime::now()));
                Err(DialFailure::Status(response.status().as_u16(), retry_after))
            }
            Err(Trouble::Io(error)) => Err(DialFailure::Lost(error.kind())),
            Err(Trouble::Protocol(error)) => Err(DialFailure::Handshake(error.to_string())),
            Err(_) => Err(DialFailure::Handshake("its answer cannot be read".to_owned())),
        }
    }
}

/// What a connection is at this end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NearEnd {
    /// The local address; `None`: any.
    pub from: Option<IpAddr>,
    /// What the kernel takes before it is read, about; `None`: its own choice. Set before the
    /// connection is made: a window that shrinks later loses segments.
    pub receive_bytes: Option<u32>,
}

impl Dialer {
    /// Opens the byte stream of a connection, in total within `limit`: no WebSocket yet, and no
    /// check where plain text may go.
    ///
    /// # Errors
    /// Returns a [`DialError`].
    pub(crate) async fn stream(
        &self,
        (host, port): (&str, u16),
        is_secure: bool,
        near: NearEnd,
        limit: Duration,
    ) -> Result<ByteStream, DialError> {
        let opening = async {
            let addresses: Vec<SocketAddr> =
                lookup_host((host, port)).await.map_err(|error| DialFailure::Resolve(error.kind()))?.collect();
            let stream = connect(&addresses, near, Instant::now() + limit).await?;
            self.secured(stream, host.to_owned(), is_secure).await
        };
        let opened = timeout(limit, opening).await.unwrap_or(Err(DialFailure::Timeout));
        opened.map_err(|failure| DialError { host: host.to_owned(), failure })
    }

    async fn secured(&self, stream: TcpStream, host: String, is_secure: bool) -> Result<ByteStream, DialFailure> {
        if !is_secure {
            return Ok(ByteStream::Plain(stream));
        }
        let name = ServerName::try_from(host).map_err(|_| DialFailure::BadEndpoint)?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| DialFailure::Tls(error.to_string()))?;
        Ok(ByteStream::Tls(Box::new(stream)))
    }
}

/// Returns true if `ws://` to this address cannot be overheard: on this machine, or, if the
/// operator allows it, in a private network.
fn may_be_plain(address: IpAddr, allow_insecure: bool) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || (allow_insecure && is_private(address))
}

/// Parses `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
pub(crate) fn retry_after_of(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date: SystemTime = text.parse::<HttpDate>().ok()?.into();
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

fn own_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

/// Returns `None` if some part cannot be sent. Which part stays secret.
fn request(endpoint: &EndpointConfig, path_and_query: Option<&str>) -> Option<Request> {
    let mut parts = endpoint.url.expose().parse::<Uri>().ok()?.into_parts();
    // `Uri` keeps the case of `WSS`, which the library does not know.
    parts.scheme = Some(parts.scheme?.as_str().to_ascii_lowercase().parse().ok()?);
    if let Some(path_and_query) = path_and_query {
        parts.path_and_query = Some(path_and_query.parse::<PathAndQuery>().ok()?);
    }
    let mut request = Uri::from_parts(parts).ok()?.into_client_request().ok()?;
    for (name, value) in &endpoint.headers {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        request.headers_mut().append(name.parse::<HeaderName>().ok()?, value);
    }
    Some(request)
}

async fn socket(address: SocketAddr, near: NearEnd) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = near.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    if let Some(bytes) = near.receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(address).await
}

/// Connects to the first address that answers. Each address gets its share of the time, so that a
/// silent one does not use it up.
async fn connect(addresses: &[SocketAddr], near: NearEnd, deadline: Instant) -> Result<TcpStream, DialFailure> {
    let mut failure = DialFailure::Resolve(io::ErrorKind::NotFound);
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - index) as u32;
        failure = match timeout_at(Instant::now() + share, socket(*address, near)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| DialFailure::Connect(error.kind()))?;
                // Without keepalive a vanished peer would go unnoticed while there is nothing to
                // send.
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                return Ok(stream);
            }
            Ok(Err(error)) => DialFailure::Connect(error.kind()),
            Err(_) => DialFailure::Timeout,
        };
    }
    Err(failure)
}
