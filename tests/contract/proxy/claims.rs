//! Owns the test of a proxy's session that is taken over at the connection limit of an address
//! (A5a).

use super::{Upstream, serve_described};
use crate::support::assert_ended;

#[test]
fn a5a_a_proxys_session_is_taken_over_at_the_limit() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &[], &[("MAX_CONNECTIONS_PER_IP", "1")]);
    let mut old = server.connect("/proxy/test").welcomed();
    assert_ended(server.connect("/proxy/test"), 1008, "connection_limit");
    assert_ended(server.connect("/proxy/test?session=1.x"), 1008, "connection_limit");
    let newer = server.connect(&format!("/proxy/test?session={}&seq=0", old.session())).welcomed();
    assert_eq!((newer.verdict(), old.ended().0.code), ("continuous", 4000));
}
