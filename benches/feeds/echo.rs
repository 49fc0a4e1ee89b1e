//! Owns an upstream that echoes text frames at the least cost, on a thread of its own.

use std::{io, net::SocketAddr, sync::mpsc, thread};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tungstenite::handshake::derive_accept_key;

/// Starts it; it ends with the process.
///
/// # Errors
/// When no port can be had.
pub fn start() -> io::Result<SocketAddr> {
    let (found, address) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let _ = found.send(listener.local_addr()?);
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream));
            }
        })
    });
    address.recv().map_err(|_| io::Error::other("no echo"))
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    bytes.drain(..end);
    let mut out = Vec::new();
    loop {
        let mut taken = 0;
        while let Some((header, length)) = frame_size(&bytes[taken..]) {
            let Some(frame) = bytes.get(taken..taken + header + length) else { break };
            if frame[0] & 0x0f == 8 {
                return Ok(());
            }
            echo(frame, header, &mut out);
            taken += header + length;
        }
        bytes.drain(..taken);
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

/// Bytes of a masked frame's header and of its payload.
fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => Some((8, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((14, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?)),
        length => Some((6, usize::from(length))),
    }
}

/// The same frame, unmasked; a ping becomes a pong.
fn echo(frame: &[u8], header: usize, out: &mut Vec<u8>) {
    let (head, payload) = frame.split_at(header);
    let mask = &head[header - 4..];
    out.push(if head[0] & 0x0f == 9 { 0x8a } else { head[0] });
    out.push(head[1] & 0x7f);
    out.extend_from_slice(&head[2..header - 4]);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
