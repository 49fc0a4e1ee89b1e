//! Owns the count of open connections, per address and in total (A5).

use std::{collections::HashMap, net::IpAddr};

use super::address::limit_key;
use crate::protocol::Refusal;

/// A full server admits claims of A5a above its limit: one for each this many connections of the
/// limit, and at least one.
const CLAIMS_SHARE: usize = 100;

/// The permits in use. `max_connections` bounds the entries.
#[derive(Debug)]
pub(crate) struct Permits {
    max_per_address: usize,
    max_connections: usize,
    connections: usize,
    /// Invariant: no entry is 0.
    held: HashMap<IpAddr, usize>,
}

impl Permits {
    pub(crate) fn new(max_per_address: usize, max_connections: usize) -> Self {
        Self { max_per_address, max_connections, connections: 0, held: HashMap::new() }
    }

    /// Takes a permit for an address (an IPv6 /64 counts as one). Return it with
    /// [`Self::release`].
    ///
    /// # Errors
    /// `AddressLimit` or `ServerLimit`, with the limit. Nothing was taken.
    pub(crate) fn acquire(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let key = limit_key(address);
        let held = self.held.get(&key).copied().unwrap_or(0);
        if held >= self.max_per_address {
            return Err(Refusal::AddressLimit { max: self.max_per_address, proxy: None });
        }
        if self.connections >= self.max_connections {
            return Err(Refusal::ServerLimit(self.max_connections));
        }
        self.held.insert(key, held + 1);
        self.connections += 1;
        Ok(())
    }

    /// Takes the one permit above its limit that an address may hold while a connection of it
    /// proves that it replaces another one (A5a). Returns `false`, and takes nothing, if that
    /// permit is in use or the address has no connection to replace.
    pub(crate) fn claim(&mut self, address: IpAddr) -> bool {
        let most = self.max_connections + (self.max_connections / CLAIMS_SHARE).max(1);
        match self.held.get_mut(&limit_key(address)) {
            Some(held) if *held <= self.max_per_address && self.connections < most => {
                *held += 1;
                self.connections += 1;
                true
            }
            _ => false,
        }
    }

    /// Returns one permit of the address. Does nothing if the address holds none.
    pub(crate) fn release(&mut self, address: IpAddr) {
        let key = limit_key(address);
        let Some(held) = self.held.get_mut(&key) else { return };
        *held -= 1;
        if *held == 0 {
            self.held.remove(&key);
        }
        self.connections -= 1;
    }

    /// Returns the number of permits in use.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// Returns the number of addresses that hold a permit.
    pub(crate) fn addresses(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    #[test]
    fn a5_an_address_holds_so_many_and_others_are_not_affected() {
        let mut permits = Permits::new(2, 10);
        assert_eq!(permits.acquire(ALICE), Ok(()));
        assert_eq!(permits.acquire(ALICE), Ok(()));
        assert_eq!(permits.acquire(ALICE), Err(Refusal::AddressLimit { max: 2, proxy: None }));
        assert_eq!(permits.acquire(BOB), Ok(()));
        assert_eq!((permits.connections(), permits.addresses()), (3, 2));
    }

    #[test]
    fn a5_the_server_holds_so_many() {
        let mut permits = Permits::new(2, 2);
        permits.acquire(ALICE).unwrap();
        permits.acquire(BOB).unwrap();
        assert_eq!(permits.acquire(BOB), Err(Refusal::ServerLimit(2)));
        permits.release(ALICE);
        assert_eq!(permits.acquire(BOB), Ok(()));
        assert_eq!(
            permits.acquire(BOB),
            Err(Refusal::AddressLimit { max: 2, proxy: None }),
            "the address's own limit is the better advice"
        );
    }

    #[test]
    fn a5_an_ipv6_64_is_one_address() {
        let mut permits = Permits::new(1, 10);
        permits.acquire("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(permits.acquire("2001:db8::2".parse().unwrap()), Err(Refusal::AddressLimit { max: 1, proxy: None }));
        permits.release("2001:db8::2".parse().unwrap());
        assert_eq!((permits.connections(), permits.addresses()), (0, 0));
    }

    #[test]
    fn a5a_one_claim_goes_over_the_limit_of_an_address_that_has_a_place_to_take_over() {
        let mut permits = Permits::new(2, 10);
        assert!(!permits.claim(ALICE), "there is nothing to take over");
        permits.acquire(ALICE).unwrap();
        permits.acquire(ALICE).unwrap();
        assert!(permits.claim(ALICE));
        assert!(!permits.claim(ALICE) && permits.acquire(ALICE).is_err() && permits.claim(BOB).eq(&false));
        permits.release(ALICE);
        assert!(permits.acquire(ALICE).is_err(), "the claim has become one of the two");
        assert!(permits.claim(ALICE));
        assert_eq!(permits.connections(), 3);
    }

    #[test]
    fn a5a_a_full_server_takes_a_hundredth_of_its_limit_in_claims_and_at_least_one() {
        for (limit, claims) in [(2, 1), (300, 3)] {
            let mut permits = Permits::new(1, limit);
            let address = |number: usize| IpAddr::from([203, 0, (number / 256) as u8, (number % 256) as u8]);
            (0..limit).for_each(|number| permits.acquire(address(number)).unwrap());
            assert_eq!((0..limit).filter(|number| permits.claim(address(*number))).count(), claims);
        }
    }

    #[test]
    fn a5_releasing_what_is_not_held_changes_nothing() {
        let mut permits = Permits::new(1, 1);
        permits.acquire(ALICE).unwrap();
        permits.release(BOB);
        permits.release(ALICE);
        permits.release(ALICE);
        assert_eq!((permits.connections(), permits.addresses()), (0, 0));
    }

    proptest! {
        #[test]
        fn a5_counts_agree_with_a_plain_list(steps in prop::collection::vec((any::<bool>(), 0_u8..6), 0..200)) {
            let mut permits = Permits::new(3, 8);
            let mut held: Vec<IpAddr> = Vec::new();
            for (acquire, last) in steps {
                let address = IpAddr::from([203, 0, 113, last]);
                let mine = held.iter().filter(|a| **a == address).count();
                if acquire {
                    let admitted = permits.acquire(address).is_ok();
                    prop_assert_eq!(admitted, mine < 3 && held.len() < 8);
                    held.extend(admitted.then_some(address));
                } else {
                    permits.release(address);
                    if let Some(at) = held.iter().position(|a| *a == address) {
                        held.remove(at);
                    }
                }
                prop_assert_eq!(permits.connections(), held.len());
                prop_assert_eq!(permits.addresses(), held.iter().collect::<std::collections::HashSet<_>>().len());
            }
        }
    }
}
