//! Owns `Peer`: a client of a proxy, for whom frames are the upstream's and mean nothing.

use std::net::{Shutdown, TcpStream};

use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest as _, http::HeaderValue};

use crate::support::{PATIENCE, Server};

pub struct Peer {
    pub socket: WebSocket<TcpStream>,
    /// The welcome, if it was waited for.
    pub welcome: Value,
}

impl Peer {
    /// On this path, e.g. `/proxy/openai?model=x`.
    pub fn connect(server: &Server, path: &str) -> Self {
        Self::connect_with(server, path, &[])
    }

    pub fn connect_with(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        let mut request = format!("ws://127.0.0.1:{}{path}", server.port).into_client_request().expect("request");
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).expect("header"));
        }
        let (socket, _) = tungstenite::client(request, stream).expect("a handshake");
        Self { socket, welcome: Value::Null }
    }

    /// As `connect`; the welcome has been read.
    pub fn enter(server: &Server, path: &str) -> Self {
        Self::connect(server, path).welcomed()
    }

    pub fn welcomed(mut self) -> Self {
        self.welcome = serde_json::from_str(&self.text()).expect("a welcome is JSON");
        assert_eq!(self.welcome["type"], "welcome", "{}", self.welcome);
        self
    }

    /// The path that leads back to its session, having `seen` so many frames.
    pub fn way_back(&self, seen: u64) -> String {
        let (proxy, session) = (self.welcome["proxy"].as_str(), self.welcome["session"].as_str());
        format!("/proxy/{}?session={}&seq={seen}", proxy.expect("a proxy"), session.expect("a session"))
    }

    /// The next message that is not the server's ping.
    pub fn message(&mut self) -> Message {
        loop {
            match self.socket.read().expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The next message, which is JSON.
    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }

    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("sent");
    }

    /// Reads up to the close; its code, its reason, and the text before it.
    pub fn ended(&mut self) -> (u16, String, String) {
        let mut last = String::new();
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => last = text.to_string(),
                Ok(Message::Close(frame)) => {
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    return (code, reason, last);
                }
                Ok(_) => {}
                Err(error) => panic!("ended without a close frame: {error}"),
            }
        }
    }

    /// Ended with `error` of this code, then this close (A8); the error's message.
    pub fn refused(&mut self, close: u16, code: &str) -> String {
        let (ended, reason, last) = self.ended();
        let last: Value = serde_json::from_str(&last).unwrap_or(Value::Null);
        let seen = (ended, last["type"].as_str(), last["code"].as_str());
        assert_eq!(seen, (close, Some("error"), Some(code)), "{reason} {last}");
        // X6.
        let event = serde_json::json!({"type": "innkeeper", "code": code, "message": last["message"]});
        assert_eq!(last["error"], event, "{last}");
        last["message"].as_str().expect("a message").to_owned()
    }

    /// Cuts the connection: no close frame.
    pub fn cut(self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
    }
}
