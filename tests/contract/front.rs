//! Owns the tests of the server behind the reverse proxies of docs/operations.md: the documented
//! configuration of nginx and of Caddy, run by the real programs. scripts/test installs them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{PATIENCE, RawSocket, Server};

const SECRET: &str = "a secret of at least thirty-two bytes";
/// The address that the tests' clients have.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const BEHIND: [(&str, &str); 2] = [("CLIENT_IP_HEADER", "X-Real-IP"), ("HTTP_API_SECRET", SECRET)];

/// A reverse proxy that runs for this test. Dropping it ends the process.
struct Front {
    child: Child,
    port: u16,
    _files: TempDir,
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only block of this language in docs/operations.md.
fn documented(language: &str) -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).expect("the document");
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// The text with `old`, which it must have, replaced.
fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old:?} in {text}");
    text.replace(old, new)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

impl Front {
    fn nginx(server: &Server) -> Self {
        let (files, port) = (TempDir::new().expect("a directory"), free_port());
        let dir = files.path().display();
        let block = with(&documented("nginx"), "127.0.0.1:8080", &format!("127.0.0.1:{}", server.port));
        let block = with(&block, "listen 80;", &format!("listen 127.0.0.1:{port};"));
        let block = with(&block, "/var/log/nginx/innkeeper.log", &format!("{dir}/access.log"));
        // One process, which ends when it is killed.
        let text = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n\
             client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;\n\
             uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;\n{block}}}\n"
        );
        let config = files.path().join("nginx.conf");
        fs::write(&config, text).expect("written");
        let program = std::env::var("NGINX").unwrap_or_else(|_| "/usr/sbin/nginx".into());
        let mut command = Command::new(program);
        command.arg("-p").arg(files.path()).arg("-c").arg(&config);
        Self::start(command, port, files)
    }

    fn caddy(server: &Server) -> Self {
        let (files, port) = (TempDir::new().expect("a directory"), free_port());
        let block = with(&documented("caddy"), "127.0.0.1:8080", &format!("127.0.0.1:{}", server.port));
        // Without a certificate, which would need the name.
        let block = with(&block, "game.example {", &format!("http://127.0.0.1:{port} {{\n\tbind 127.0.0.1"));
        let config = files.path().join("Caddyfile");
        fs::write(&config, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{block}")).expect("written");
        let program = std::env::var("CADDY").unwrap_or_else(|_| "/usr/bin/caddy".into());
        let mut command = Command::new(program);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
        command.env("HOME", files.path()).env("XDG_DATA_HOME", files.path()).env("XDG_CONFIG_HOME", files.path());
        Self::start(command, port, files)
    }

    fn start(mut command: Command, port: u16, files: TempDir) -> Self {
        let log = fs::File::create(files.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; scripts/test installs it"));
        let mut front = Self { child, port, _files: files };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = front.child.try_wait().expect("its state");
            let log = || fs::read_to_string(front._files.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "{name} does not listen: {ended:?} {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        front
    }

    /// A socket from [`CLIENT`].
    fn socket(&self) -> RawSocket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((CLIENT, 0)).into()).expect("an address of loopback");
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into()).expect("the proxy listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        RawSocket(stream)
    }

    /// Sends a request with these header lines; returns the answer's bytes as text.
    fn request(&self, line: &str, headers: &str) -> String {
        let mut socket = self.socket();
        let host = format!("127.0.0.1:{}", self.port);
        socket.write(format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n").as_bytes());
        String::from_utf8_lossy(&socket.read_to_end()).into_owned()
    }

    /// A player's socket, whose handshake lies about the address.
    fn player(&self, path: &str) -> RawSocket {
        let mut socket = self.socket();
        let lies = "X-Real-IP: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nForwarded: for=192.0.2.3";
        socket.write(
            format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Origin: http://127.0.0.1:{}\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lies}\r\n\r\n",
                self.port, self.port
            )
            .as_bytes(),
        );
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut socket.0, &mut byte).expect("an answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        socket
    }
}

const TEXT: u8 = 0x81;

/// Plays through the proxy; the server knows the client by its own address.
fn plays(server: &mut Server, front: &Front) {
    assert!(front.request("GET /ready", "").starts_with("HTTP/1.1 200"));
    let mut player = front.player("/ws/g/alice");
    player.until_type("welcome");
    let line = server.wait_for_event("WS_CONNECTION_ESTABLISHED");
    assert_eq!(line["address"], CLIENT.to_string(), "{line}");
    let long = "x".repeat(60_000);
    for id in 1..=10 {
        let send = json!({"type": "send", "id": id, "data": long});
        player.write(&RawSocket::frame(TEXT, send.to_string().as_bytes()));
        assert_eq!(player.until_type("message")["id"], id);
    }
    drop(player);
    assert_eq!(server.wait_for_end_of("alice")["cause"], "connection_lost");

    let mut player = front.player("/ws/g/bob");
    player.until_type("welcome");
    server.signal("TERM");
    assert_eq!(player.until_type("going_away")["code"], 1012);
    assert_eq!(player.close_code(), 1012);
}

/// What belongs to operators is closed, whatever key comes along and however the path is written.
fn keeps_operators_out(front: &Front) {
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let paths = [
        "/api/games",
        "/api/games?limit=1",
        "/api/games/g",
        "/api/hubs",
        "/dashboard",
        "/dashboard/",
        "/metrics",
        "//api/games",
        "/x/../api/games",
        "/api%2Fgames",
        "/%61pi/games",
        "/api/./games",
        "/api//games/g",
        "/API/games",
    ];
    for path in paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = front.request(&format!("{method} {path}"), &bearer);
            let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
            assert!(matches!(status.as_str(), "400" | "403" | "404" | "405"), "{method} {path}: {answer}");
            assert!(!answer.contains("innkeeper_"), "{path}: {answer}");
        }
    }
    assert!(front.request("GET /api/games", &bearer).starts_with("HTTP/1.1 403"));
}

#[test]
fn the_documented_nginx_passes_players_with_their_addresses_and_no_operator() {
    let mut server = Server::start(&BEHIND);
    let front = Front::nginx(&server);
    keeps_operators_out(&front);
    plays(&mut server, &front);
}

#[test]
fn the_documented_caddy_passes_players_with_their_addresses_and_no_operator() {
    let mut server = Server::start(&BEHIND);
    let front = Front::caddy(&server);
    keeps_operators_out(&front);
    plays(&mut server, &front);
}
