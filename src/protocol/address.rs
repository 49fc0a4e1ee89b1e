//! Owns client addresses: one canonical form per address, and the key that limits count by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The key that limits count by: an IPv6 address's /64, because one household is given at least
/// that much; an IPv4 address itself.
pub(crate) fn limit_key(address: IpAddr) -> IpAddr {
    match canonical(address) {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        ipv4 => ipv4,
    }
}

/// The NAT64 prefix 64:ff9b::/96 (RFC 6052).
const NAT64: u128 = 0x64_ff9b << 96;

/// The canonical form of an address. An IPv4 address written as IPv6 (mapped by a dual-stack
/// socket, or translated by NAT64) becomes IPv4 again.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address.to_bits() >> 32 == NAT64 >> 32 => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() as u32))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limits_count_an_ipv6_64_as_one_address() {
        assert_eq!(limit_key(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_ne!(limit_key(address("2001:db8:1:3::1")), limit_key(address("2001:db8:1:2::1")));
        assert_eq!(limit_key(address("203.0.113.9")), address("203.0.113.9"));
    }

    #[test]
    fn limits_count_a_mapped_and_a_nat64_address_by_its_ipv4() {
        for text in ["64:ff9b::203.0.113.9", "64:ff9b::cb00:7109", "::ffff:203.0.113.9"] {
            assert_eq!(limit_key(address(text)), address("203.0.113.9"), "{text}");
        }
        assert_eq!(limit_key(address("64:ff9b:0:0:0:1:cb00:7109")), address("64:ff9b::"), "another prefix");
        assert_eq!(limit_key(address("64:ff9c::cb00:7109")), address("64:ff9c::"));
    }
}
