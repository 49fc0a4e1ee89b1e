//! Owns the tests of peers that break the rules or read nothing: their close codes, and the bounds
//! of what they can fill.

use tokio::io::AsyncWriteExt as _;

use super::*;

/// A ping of 125 bytes.
const PING: [u8; 127] = {
    let mut frame = [b'a'; 127];
    (frame[0], frame[1]) = (0x89, 125);
    frame
};

/// Accepts one connection, writes these bytes after the handshake, and returns all bytes that
/// arrive.
async fn provoke(bytes: Vec<u8>) -> (u16, actix_rt::task::JoinHandle<Vec<u8>>) {
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = accept_async(stream).await.expect("a handshake").into_inner();
        stream.write_all(&bytes).await.expect("written");
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    (port, served)
}

/// The code of a masked close frame.
fn close_code(frame: &[u8]) -> Option<u16> {
    let [0x88, length, m0, m1, _, _, high, low, ..] = *frame else { return None };
    (length & 0x7f >= 2).then(|| u16::from_be_bytes([high ^ m0, low ^ m1]))
}

#[actix_rt::test]
async fn a_peer_that_breaks_rfc_6455_gets_a_close_frame_before_the_connection_ends() {
    let mut too_big = vec![0x82, 127];
    too_big.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    for (bytes, code) in [
        (vec![0x83, 0], 1002),
        (vec![0xc1, 1, b'a'], 1002),
        (vec![0x81, 0x81, 0, 0, 0, 0, b'a'], 1002),
        (vec![0x80, 1, b'a'], 1002),
        (vec![0x81, 2, 0xff, 0xfe], 1007),
        (too_big, 1009),
    ] {
        let (port, served) = provoke([&bytes[..], &[b'x'; 5000]].concat()).await;
        let (mut reader, writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
        let error = reader.next().await.expect("an end").expect_err("an error");
        assert_eq!(error.close_code(), Some(code), "{error}");
        // A caller may drop both halves at once.
        drop((reader, writer));
        assert_eq!(close_code(&served.await.expect("served")), Some(code), "{error}");
    }
}

#[actix_rt::test]
async fn a_peer_that_floods_pings_and_reads_nothing_is_given_up_with_a_cause_of_its_own() {
    let (listener, port) = listen().await;
    actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = accept_async(stream).await.expect("a handshake").into_inner();
        let many = PING.repeat(500);
        while stream.write_all(&many).await.is_ok() {}
    });
    let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(reader.next().await, Some(Err(LinkError::Unread)));
}

#[actix_rt::test]
async fn a_peer_that_pings_a_lot_and_reads_the_answers_is_answered() {
    const PINGS: usize = 5000;
    let (listener, port) = listen().await;
    let served = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept_async(stream).await.expect("a handshake");
        for _ in 0..PINGS / 50 {
            socket.get_mut().write_all(&PING.repeat(50)).await.expect("written");
            assert!(socket.next().await.expect("an answer").expect("a frame").is_pong());
        }
        socket.send(Message::text("enough")).await.expect("sent");
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    });
    let (mut reader, writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
    assert_eq!(text(&mut reader).await, "enough");
    drop((reader, writer));
    served.await.expect("served");
}

#[actix_rt::test]
async fn every_code_that_may_be_sent_is_passed_on_and_no_other() {
    for (code, passes) in [
        (1000, true),
        (1012, true),
        (1013, true),
        (1014, true),
        (3000, true),
        (4999, true),
        (1015, false),
        (2000, false),
    ] {
        let [high, low] = u16::to_be_bytes(code);
        let (port, _served) = provoke(vec![0x81, 1, b'a', 0x88, 6, high, low, b'w', b'h', b'y', b'?']).await;
        let (mut reader, _writer) = dial(&format!("ws://127.0.0.1:{port}")).await.expect("connected");
        assert_eq!(text(&mut reader).await, "a");
        let expected = passes.then(|| (code, "why?".to_owned()));
        assert_eq!(reader.next().await, Some(Ok(Incoming::Close(expected))), "{code}");
        assert_eq!(reader.next().await, None);
    }
}
