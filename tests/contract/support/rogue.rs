//! Owns `Rogue`: an upstream that opens a WebSocket as it should, and then writes whatever bytes a
//! test wants.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
};

use tungstenite::handshake::derive_accept_key;

use super::PATIENCE;

/// Accepts until the test is over.
pub struct Rogue {
    address: IpAddr,
    port: u16,
    connections: Receiver<TcpStream>,
}

impl Rogue {
    /// Each connection that shakes hands is the test's.
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into())
    }

    pub fn start_at(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if sender.send(shake_hands(stream)).is_err() {
                    break;
                }
            }
        });
        Self { address, port, connections }
    }

    /// Answers each handshake with this HTTP answer.
    pub fn refusing(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                head(&mut stream);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address: Ipv4Addr::LOCALHOST.into(), port, connections: channel().1 }
    }

    pub fn url(&self) -> String {
        let host = if self.address.is_ipv6() { format!("[{}]", self.address) } else { self.address.to_string() };
        format!("ws://{host}:{}/", self.port)
    }

    pub fn connection(&self) -> TcpStream {
        self.connections.recv_timeout(PATIENCE).expect("the server connects")
    }
}

fn head(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn shake_hands(mut stream: TcpStream) -> TcpStream {
    let head = head(&mut stream);
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let accept = derive_accept_key(key.expect("a key").as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).expect("written");
    stream
}

/// Writes pings for as long as they are taken, and reads nothing.
pub fn flood_pings(mut stream: TcpStream) {
    let pings = [&[0x89, 125][..], &[b'a'; 125]].concat().repeat(500);
    while stream.write_all(&pings).is_ok() {}
}

/// Reads up to the end; the code of the last close frame of the server, whose frames are masked.
pub fn close_code(mut stream: TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let (mut rest, mut code) = (&bytes[..], None);
    while let [first, second, ..] = *rest {
        let (head, length) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            length => (2, usize::from(length)),
        };
        let (mask, payload) = rest[head..head + 4 + length].split_at(4);
        if first == 0x88 && length >= 2 {
            code = Some(u16::from_be_bytes([payload[0] ^ mask[0], payload[1] ^ mask[1]]));
        }
        rest = &rest[head + 4 + length..];
    }
    code
}
