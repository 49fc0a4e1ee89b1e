//! Owns a port of this machine that stays a fake's own while it is down, so that it can come up
//! again at the same place.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Bound, but never listening: connecting to the port is refused unless `listen` has been called,
/// and nobody else on this machine is given it meanwhile, neither to listen nor for a connection of
/// theirs.
pub struct Port {
    _reserved: Socket,
    pub number: u16,
}

impl Port {
    pub fn reserve() -> Self {
        let reserved = bound(0);
        let number = reserved.local_addr().ok().and_then(|address| address.as_socket()).expect("an address").port();
        Self { _reserved: reserved, number }
    }

    pub fn listen(&self) -> TcpListener {
        let socket = bound(self.number);
        socket.listen(128).expect("the port is ours");
        socket.into()
    }
}

fn bound(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("reuse of the address");
    socket.set_reuse_port(true).expect("reuse of the port");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).expect("the port is free");
    socket
}
