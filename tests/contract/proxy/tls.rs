//! Owns the tests of a proxy whose upstream speaks TLS, as all do that are not on this machine.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};
use tungstenite::Message;

use super::Peer;
use crate::support::{PATIENCE, Server};

/// An echo with a certificate for `localhost`: its URL, and the file with the authority that made
/// it.
fn start() -> (String, NamedTempFile) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    let config = Arc::new(config.expect("a certificate"));
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(issuer.pem().as_bytes()).expect("written");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("wss://localhost:{}", listener.local_addr().expect("an address").port());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            std::thread::spawn(move || echo(stream, config));
        }
    });
    (url, file)
}

fn echo(stream: TcpStream, config: Arc<ServerConfig>) {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let stream = StreamOwned::new(ServerConnection::new(config).expect("TLS"), stream);
    // A peer that trusts nobody ends here.
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).is_err() {
            break;
        }
    }
}

#[test]
fn x1_large_frames_pass_both_ways_over_tls_to_an_upstream_of_a_trusted_authority() {
    let (url, ca_file) = start();
    let ca_file = ca_file.path().to_str().expect("a path in UTF-8");
    let settings =
        [("AUTH", "off"), ("OPENAI_API_KEY", "k"), ("OPENAI_REALTIME_URL", &url), ("UPSTREAM_CA_FILE", ca_file)];
    let server = Server::start(&settings);
    let mut client = Peer::enter(&server, "/proxy/openai");
    let chunk = |i: u8| Message::binary(vec![i; 100_000]);
    // More than all the buffers between hold: both directions move at once.
    let socket = client.socket.get_ref().try_clone().expect("the socket");
    socket.set_write_timeout(Some(Duration::from_millis(1))).expect("timeout");
    let (mut sent, mut back) = (0, 0);
    while back < 100 {
        if sent < 100 && sent < back + 20 {
            let _ = client.socket.write(chunk(sent));
            sent += 1;
        }
        let _ = client.socket.flush();
        if sent == 100 || sent == back + 20 {
            assert!(client.message() == chunk(back), "{back}");
            back += 1;
        }
    }
}

#[test]
fn x1_an_upstream_that_nobody_vouches_for_is_not_talked_to() {
    let (url, _) = start();
    let server = Server::start(&[("AUTH", "off"), ("OPENAI_API_KEY", "k"), ("OPENAI_REALTIME_URL", &url)]);
    Peer::enter(&server, "/proxy/openai").refused(1011, "upstream_failed");
    let failed = server.wait_for_log(|line| line["message"] == "[Proxy openai] upstream failed");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("TLS")), "{failed}");
}
