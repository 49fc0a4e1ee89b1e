//! Owns the client's address: from the socket, or from the one trusted header.

use std::net::{IpAddr, SocketAddr};

use crate::protocol::address::canonical;
pub(crate) use crate::protocol::address::limit_key;

/// Headers by which a proxy shows that it forwards another client's request, in lower case.
pub(crate) const FORWARDING: [&str; 5] = ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "via"];

/// Returns the client's address, in the form of [`canonical`]. `header` is the name and the bytes
/// of the trusted header, if the configuration names one (`CLIENT_IP_HEADER`) and the request has
/// it. If the header has several lines, pass the last.
///
/// Of `X-Forwarded-For` and `Forwarded` the rightmost entry counts: the trusted proxy appended it,
/// and the client can invent all earlier ones, with any bytes. A port is dropped. A value that is
/// not an address gives the peer's address.
pub(crate) fn client_address(peer: IpAddr, header: Option<(&str, &[u8])>) -> IpAddr {
    let named = header.and_then(|(name, value)| {
        let last = || value.rsplit(|byte| *byte == b',').next().unwrap_or(value);
        if name.eq_ignore_ascii_case("x-forwarded-for") {
            parse(last())
        } else if name.eq_ignore_ascii_case("forwarded") {
            forwarded_for(last()).and_then(parse)
        } else {
            parse(value)
        }
    });
    canonical(named.unwrap_or(peer))
}

/// Returns whether a proxy may have this address: this machine, or a network other than the
/// Internet.
pub(crate) fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // 100.64.0.0/10 (RFC 6598): hosting platforms place their own proxies there.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Returns the `for` of one element of `Forwarded` (RFC 7239, section 4), without quotes.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })
}

fn parse(bytes: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes.trim_ascii()).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bracketed {
        Some(ipv6) => ipv6.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn from_header(name: &str, value: impl AsRef<[u8]>) -> String {
        client_address(address("10.0.0.1"), Some((name, value.as_ref()))).to_string()
    }

    #[test]
    fn without_a_trusted_header_the_peer_is_the_client() {
        assert_eq!(client_address(address("203.0.113.9"), None), address("203.0.113.9"));
    }

    #[test]
    fn an_ipv4_client_is_the_same_on_a_dual_stack_socket() {
        assert_eq!(client_address(address("::ffff:203.0.113.9"), None), address("203.0.113.9"));
        assert_eq!(from_header("x-real-ip", "::ffff:203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn of_x_forwarded_for_only_the_entry_the_proxy_appended_is_believed() {
        assert_eq!(from_header("X-Forwarded-For", "1.1.1.1, 2.2.2.2 ,203.0.113.9"), "203.0.113.9");
        assert_eq!(from_header("x-forwarded-for", "203.0.113.9"), "203.0.113.9");
        assert_eq!(from_header("x-forwarded-for", "1.1.1.1, "), "10.0.0.1");
    }

    #[test]
    fn other_headers_are_one_address() {
        assert_eq!(from_header("x-real-ip", " 203.0.113.9 "), "203.0.113.9");
        assert_eq!(from_header("x-real-ip", "1.1.1.1, 203.0.113.9"), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_dropped() {
        for (value, expected) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(from_header("x-real-ip", value), expected);
        }
    }

    #[test]
    fn garbage_gives_the_peer() {
        for value in ["", "unknown", "203.0.113", "203.0.113.9:port", "[203.0.113.9]", "fe80::1%eth0", "[::1", "\u{0}"]
        {
            assert_eq!(from_header("x-real-ip", value), "10.0.0.1", "{value}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_hide_nobody() {
        assert_eq!(from_header("x-forwarded-for", b"\xff, 203.0.113.9"), "203.0.113.9");
        assert_eq!(from_header("x-forwarded-for", b"1.1.1.1, \xff\xfe,\t203.0.113.9 "), "203.0.113.9");
        assert_eq!(from_header("x-forwarded-for", b"1.1.1.1, \xff"), "10.0.0.1");
        assert_eq!(from_header("x-real-ip", b"\xff203.0.113.9"), "10.0.0.1");
        assert_eq!(from_header("forwarded", b"for=\xff, for=203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn of_forwarded_the_last_for_is_believed() {
        for (value, expected) in [
            ("for=1.1.1.1, for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("proto=http; For=\"203.0.113.9:4711\"", "203.0.113.9"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=203.0.113.9, proto=https", "10.0.0.1"),
            ("for=unknown", "10.0.0.1"),
            ("203.0.113.9", "10.0.0.1"),
        ] {
            assert_eq!(from_header("Forwarded", value), expected, "{value}");
        }
    }

    #[test]
    fn a_nat64_address_is_its_ipv4() {
        for text in ["64:ff9b::203.0.113.9", "64:ff9b::cb00:7109", "::ffff:203.0.113.9"] {
            assert_eq!(from_header("x-real-ip", text), "203.0.113.9", "{text}");
        }
    }

    #[test]
    fn a_proxy_is_on_this_machine_or_on_a_private_network() {
        for text in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_inside(address(text)), "{text}");
        }
        for text in ["203.0.113.9", "100.128.0.1", "172.32.0.1", "2001:db8::1", "64:ff9b::10.0.0.1"] {
            assert!(!is_inside(address(text)), "{text}");
        }
    }
}
