//! Owns the answer to "who is calling": the client's address from the socket or from the one header that is trusted.
//! Called for each upgrade and API call; the answer goes to the rate limit, the permits and the log.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The client's address, IPv4-mapped IPv6 reduced to IPv4. `header` is the trusted header, as name and text, when the
/// configuration names one (`CLIENT_IP_HEADER`) and the request has it; of several lines of it, the last.
///
/// Of `X-Forwarded-For` the rightmost entry counts: the trusted proxy appended it, and the client can invent those before.
/// A port is dropped. A text that is no address gives the peer's.
pub fn client_address(peer: IpAddr, header: Option<(&str, &str)>) -> IpAddr {
    let named = header.and_then(|(name, value)| {
        let is_list = name.eq_ignore_ascii_case("x-forwarded-for");
        parse(if is_list { value.rsplit(',').next().unwrap_or(value) } else { value })
    });
    named.unwrap_or(peer).to_canonical()
}

/// What limits count by: an IPv6 /64, because one household is given at least that much; an IPv4 address itself.
pub fn limit_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        ipv4 => ipv4,
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
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

    fn from_header(name: &str, value: &str) -> String {
        client_address(address("10.0.0.1"), Some((name, value))).to_string()
    }

    #[test]
    fn without_a_trusted_header_the_peer_is_the_client() {
        assert_eq!(client_address(address("203.0.113.9"), None), address("203.0.113.9"));
    }

    #[test]
    fn an_ipv4_client_is_the_same_on_a_dual_stack_socket() {
        assert_eq!(client_address(address("::ffff:203.0.113.9"), None), address("203.0.113.9"));
        assert_eq!(from_header("x-real-ip", "::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(limit_key(address("::ffff:203.0.113.9")), address("203.0.113.9"));
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
    fn limits_count_an_ipv6_household_as_one_address() {
        assert_eq!(limit_key(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_ne!(limit_key(address("2001:db8:1:3::1")), limit_key(address("2001:db8:1:2::1")));
        assert_eq!(limit_key(address("203.0.113.9")), address("203.0.113.9"));
    }
}
