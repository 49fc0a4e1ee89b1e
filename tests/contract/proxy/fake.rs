//! Owns `Upstream`: a realtime API like OpenAI's, whose every connection the test itself plays.

use std::{
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, channel},
    },
};

use tungstenite::{
    Message, WebSocket, accept_hdr,
    handshake::server::{ErrorResponse, Request, Response},
    protocol::CloseFrame,
};

use crate::support::PATIENCE;

/// The only key that the upstream knows.
pub const KEY: &str = "sk-test-8c1f0e6b";

/// The status with which it names a `Retry-After`, of 30 s.
pub const RETRY_LATER: u16 = 503;

/// A listener that accepts whoever has the key. Ends with the test.
pub struct Upstream {
    port: u16,
    legs: Receiver<Leg>,
    /// 0: it accepts; else it refuses with this status.
    status: Arc<AtomicU16>,
}

/// One connection of the proxy.
pub struct Leg {
    pub socket: WebSocket<TcpStream>,
    /// Path and query.
    pub uri: String,
    /// Lower-case names and values, in the order they came.
    pub headers: Vec<(String, String)>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, legs) = channel();
        let status = Arc::<AtomicU16>::default();
        let refusal = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let leg = shake_hands(stream, refusal.load(Ordering::SeqCst));
                if leg.is_some_and(|leg| sender.send(leg).is_err()) {
                    break;
                }
            }
        });
        Self { port, legs, status }
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/v1/realtime", self.port)
    }

    /// Refuses those who come from now on; 0: no longer.
    pub fn refuse_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The next connection of the proxy; waits for it.
    pub fn leg(&self) -> Leg {
        self.legs.recv_timeout(PATIENCE).expect("the proxy connects")
    }

    /// Whether nobody connected since the last `leg`.
    pub fn is_alone(&self) -> bool {
        self.legs.try_recv().is_err()
    }

    /// From now on plays each connection by sending back what comes.
    pub fn echo(self) {
        std::thread::spawn(move || {
            while let Ok(leg) = self.legs.recv() {
                std::thread::spawn(move || leg.echo());
            }
        });
    }
}

#[expect(clippy::result_large_err, reason = "the library's own signature")]
fn shake_hands(stream: TcpStream, status: u16) -> Option<Leg> {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_nodelay(true).expect("nodelay");
    let (mut uri, mut headers) = (String::new(), Vec::new());
    let check = |request: &Request, response: Response| {
        uri = request.uri().to_string();
        let all = request.headers().iter();
        headers =
            all.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect();
        let has_key = headers.iter().any(|(name, value)| name == "authorization" && *value == format!("Bearer {KEY}"));
        match (has_key, status) {
            (true, 0) => Ok(response),
            (has_key, status) => {
                let mut refusal = ErrorResponse::new(None);
                let status = if has_key { status } else { 401 };
                *refusal.status_mut() = status.try_into().expect("a status");
                if status == RETRY_LATER {
                    refusal.headers_mut().insert("retry-after", "30".parse().expect("a value"));
                }
                Err(refusal)
            }
        }
    };
    let socket = accept_hdr(stream, check).ok()?;
    Some(Leg { socket, uri, headers })
}

impl Leg {
    /// The next text message; the proxy's pings are answered aside.
    pub fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    pub fn message(&mut self) -> Message {
        loop {
            match self.socket.read().expect("the proxy sends") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the proxy reads");
    }

    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.socket.close(Some(frame)).expect("closed");
    }

    /// How the proxy ends the connection: the code of its close frame, or `None` when it just went.
    pub fn ended(&mut self) -> Option<(u16, String)> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => {
                    return Some(
                        frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string())),
                    );
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the upstream is still open")
                }
                Err(_) => return None,
            }
        }
    }

    fn echo(mut self) {
        while let Ok(message) = self.socket.read() {
            if matches!(message, Message::Text(_) | Message::Binary(_)) && self.socket.send(message).is_err() {
                break;
            }
        }
    }
}
