//! Owns how frames reach a socket that one thread reads while others write, and how it becomes
//! silent.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tungstenite::{Message, WebSocket, protocol::Role};

use crate::support::PATIENCE;

/// One of two handles of a socket, each a `WebSocket` of its own. tungstenite hands over whole
/// frames, and a write here is written whole, so that the answers to pings of the one never end up
/// inside a frame of the other.
#[derive(Clone)]
pub struct Wire {
    stream: Arc<TcpStream>,
    turn: Arc<Mutex<()>>,
    muted: Arc<AtomicBool>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        // Somebody who does not read must fail the test, not hang it.
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        Self { stream: Arc::new(stream), turn: Arc::default(), muted: Arc::default() }
    }

    /// A writer besides whoever reads.
    pub fn writer(&self) -> WebSocket<Self> {
        WebSocket::from_raw_socket(self.clone(), Role::Server, None)
    }

    /// From now on nothing is said, not even the pong to a ping; the socket stays open.
    pub fn mute(&self) {
        self.muted.store(true, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub fn set_read_timeout(&self) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    }

    pub fn clear_read_timeout(&self) {
        self.stream.set_read_timeout(None).expect("timeout");
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _turn = self.turn.lock().expect("turn");
        if !self.muted.load(Ordering::SeqCst) {
            (&*self.stream).write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether it could be sent; a client that hung up is fine.
pub fn send(writer: &mut WebSocket<Wire>, message: Message) -> bool {
    writer.send(message).is_ok()
}
