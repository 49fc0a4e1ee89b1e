//! Owns the listening sockets and the HTTP service of each.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Request, error::DispatchError, h1::Codec};
use actix_rt::net::TcpStream;
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{App, dev::AppConfig, middleware::from_fn, web};
use futures_util::future::{Either, FutureExt as _};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    cors::allow_origins,
    flow::{KEEP_ALIVE, follow},
    routes::{Duty, Site, configure},
    stream::{SocketPermits, Stream},
    upgrade::Entrance,
};

const BACKLOG: i32 = 4096;
/// Unsent bytes that the kernel holds of a socket before it takes no more. A slow client's backlog
/// belongs in its outbox, where it is counted and conflated, not in the kernel, where it only ages.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;

/// actix-http reads its clock twice a second: without this margin a short timeout would be over
/// before the request begins.
const CLOCK_STEP: Duration = Duration::from_millis(500);

/// Binds `host`, or all addresses of both families if it is `None`. Port 0 takes any free port.
///
/// On Linux, accepted sockets inherit the options set here: no system call per connection.
///
/// # Errors
/// Fails if the address cannot be bound; the message names it.
pub(crate) fn bind(host: Option<IpAddr>, port: u16, stalled_timeout: Duration) -> io::Result<TcpListener> {
    let named = |address: SocketAddr| {
        listen(address, host.is_none(), stalled_timeout)
            .map_err(|error| io::Error::new(error.kind(), refused(address, &error)))
    };
    match host {
        Some(host) => named((host, port).into()),
        // A machine without IPv6 has no `[::]`.
        None => named((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => named((Ipv4Addr::UNSPECIFIED, port).into()),
        }),
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another port with --port or PORT"
        }
        _ => "",
    };
    format!("cannot listen on {address}: {error}{advice}")
}

fn listen(address: SocketAddr, dual_stack: bool, stalled_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(stalled_timeout))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    let _ = stalled_timeout;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The service of one listener: upgrades go to the entrance, all other requests to the routes.
pub(crate) fn service(
    duty: Duty,
    site: Site,
    entrance: Entrance,
    places: Arc<SocketPermits>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let request_timeout = site.admission.config.gate.request_timeout;
    let site = web::Data::new(site);
    // The last middleware wrapped is the outermost.
    let app = App::new().app_data(site).wrap(from_fn(allow_origins)).wrap(from_fn(follow)).configure(configure(duty));
    let app = map_config(app.into_factory(), |_| AppConfig::default());
    let admission = entrance.admission.clone();
    let upgrade = fn_service(move |(request, framed): (Request, actix_codec::Framed<Stream, Codec>)| {
        let answering = match duty {
            Duty::HttpOnly => Either::Left(Entrance::point_elsewhere(framed)),
            Duty::Everything | Duty::WebSocketOnly => Either::Right(entrance.clone().enter(request, framed)),
        };
        // An error means that the peer left during its handshake; nothing is left to do.
        answering.map(|_| Ok::<(), actix_http::Error>(()))
    });
    let http = HttpService::build()
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .client_request_timeout(request_timeout + CLOCK_STEP)
        .client_disconnect_timeout(Duration::from_secs(1))
        .on_connect_ext(|stream: &Stream, data| {
            data.insert(stream.flow());
        })
        .upgrade(upgrade)
        .h1(app);
    let accept = fn_service(move |socket: TcpStream| {
        let accepted = Stream::accept(socket, &places, request_timeout);
        let accepted = accepted.map_err(|socket| {
            admission.turn_away(socket);
            DispatchError::Io(io::ErrorKind::ConnectionRefused.into())
        });
        async move {
            accepted.map(|stream| {
                let peer = stream.peer();
                (stream, peer)
            })
        }
    });
    accept.and_then(http)
}
