//! Owns a relay that copies bytes between a client and an echo and reads none of them: what any
//! proxy costs on this machine.

use std::{io, net::SocketAddr, sync::mpsc, thread};

use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

const BUFFER_BYTES: usize = 4096;

/// Starts it, with an event loop for each core as the server has, behind addresses of their own; it
/// ends with the process.
///
/// # Errors
/// When no port can be had.
pub fn start(upstream: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    let loops = thread::available_parallelism()?.get();
    (0..loops).map(|_| event_loop(upstream)).collect()
}

fn event_loop(upstream: SocketAddr) -> io::Result<SocketAddr> {
    let (found, address) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let _ = found.send(listener.local_addr()?);
            loop {
                let (client, _) = listener.accept().await?;
                tokio::task::spawn_local(relay(client, upstream));
            }
        })
    });
    address.recv().map_err(|_| io::Error::other("no relay"))
}

async fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<(u64, u64)> {
    let mut upstream = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await
}
