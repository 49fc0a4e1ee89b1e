//! Owns the bound on sockets that are not yet a player's connection: how many an address may hold,
//! and which one is evicted for a new one. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::address::limit_key;

/// Accepted sockets that speak plain HTTP, or have not sent anything yet.
///
/// An idle socket waits for its peer's next request. HTTP lets a server close such a socket at any
/// time, so idle sockets are evicted for new ones: unused sockets cannot lock other clients out.
#[derive(Debug)]
pub(crate) struct Sockets<T> {
    max_per_address: usize,
    open: HashMap<u64, OpenSocket<T>>,
    addresses: HashMap<IpAddr, Address>,
    /// All idle sockets, the longest idle first.
    idle: BTreeSet<Wait>,
    /// The source of the numbers of sockets and waits.
    next: u64,
}

/// The number of a wait, which orders waits by time, and the number of its socket.
type Wait = (u64, u64);

#[derive(Debug)]
struct OpenSocket<T> {
    key: IpAddr,
    waits_since: Option<u64>,
    /// Notifies the socket's owner of its eviction.
    signal: T,
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    idle: BTreeSet<Wait>,
}

/// A new socket that is admitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketAdmission<T> {
    pub number: u64,
    /// The signal of the socket that is evicted for it.
    pub evicted: Option<T>,
    /// No idle socket could be evicted: this one may only be used for an upgrade.
    pub is_spare: bool,
}

impl<T> Sockets<T> {
    pub(crate) fn new(max_per_address: usize) -> Self {
        Self { max_per_address, open: HashMap::new(), addresses: HashMap::new(), idle: BTreeSet::new(), next: 0 }
    }

    /// Admits a socket of this address (an IPv6 /64 counts as one). `max_open` bounds the
    /// sockets of all addresses.
    ///
    /// # Errors
    /// The address holds its maximum and none of its sockets is idle. Returns the signal.
    pub(crate) fn enter(&mut self, address: IpAddr, max_open: usize, signal: T) -> Result<SocketAdmission<T>, T> {
        let key = limit_key(address);
        let (mut evicted, mut is_spare) = (None, false);
        let mine = self.addresses.get(&key);
        if mine.is_some_and(|mine| mine.open >= self.max_per_address) {
            let Some(&(_, oldest)) = mine.and_then(|mine| mine.idle.first()) else { return Err(signal) };
            evicted = self.leave(oldest);
        } else if self.open.len() >= max_open {
            match self.idle.first() {
                Some(&(_, oldest)) => evicted = self.leave(oldest),
                None => is_spare = true,
            }
        }
        let number = self.count();
        self.addresses.entry(key).or_default().open += 1;
        self.open.insert(number, OpenSocket { key, waits_since: None, signal });
        Ok(SocketAdmission { number, evicted, is_spare })
    }

    /// Records whether a socket waits for its peer's next request. Does nothing if the socket is
    /// gone.
    pub(crate) fn set_idle(&mut self, number: u64, is_idle: bool) {
        let now = self.count();
        let Some(socket) = self.open.get_mut(&number) else { return };
        let address = self.addresses.entry(socket.key).or_default();
        if let Some(since) = socket.waits_since.take() {
            self.idle.remove(&(since, number));
            address.idle.remove(&(since, number));
        }
        if is_idle {
            socket.waits_since = Some(now);
            self.idle.insert((now, number));
            address.idle.insert((now, number));
        }
    }

    /// Removes a socket. Returns its signal, or `None` if it was removed before.
    pub(crate) fn leave(&mut self, number: u64) -> Option<T> {
        let socket = self.open.remove(&number)?;
        let wait = socket.waits_since.map(|since| (since, number));
        if let Some(wait) = wait {
            self.idle.remove(&wait);
        }
        if let Some(address) = self.addresses.get_mut(&socket.key) {
            address.open -= 1;
            if let Some(wait) = wait {
                address.idle.remove(&wait);
            }
            if address.open == 0 {
                self.addresses.remove(&socket.key);
            }
        }
        Some(socket.signal)
    }

    /// Returns the number of open sockets.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    fn entered(
        sockets: &mut Sockets<&'static str>,
        address: IpAddr,
        signal: &'static str,
    ) -> SocketAdmission<&'static str> {
        sockets.enter(address, 100, signal).expect("a place")
    }

    #[test]
    fn the_socket_of_the_address_that_waits_longest_makes_room() {
        let mut sockets = Sockets::new(3);
        let numbers = ["a", "b", "c"].map(|signal| entered(&mut sockets, ALICE, signal).number);
        let other = entered(&mut sockets, BOB, "bob");
        sockets.set_idle(other.number, true);
        sockets.set_idle(numbers[1], true);
        sockets.set_idle(numbers[0], true);
        assert_eq!(entered(&mut sockets, ALICE, "d").evicted, Some("b"));
        assert_eq!(entered(&mut sockets, ALICE, "e").evicted, Some("a"));
        assert_eq!(sockets.enter(ALICE, 100, "f"), Err("f"), "all are in use, and another address's socket stays");
        assert_eq!((sockets.leave(numbers[1]), sockets.open()), (None, 4));
        assert_eq!(sockets.leave(numbers[2]), Some("c"));
        assert_eq!(entered(&mut sockets, ALICE, "g").evicted, None);
    }

    #[test]
    fn a_socket_that_works_again_is_not_evicted_and_waits_from_its_last_request_on() {
        let mut sockets = Sockets::new(2);
        let (first, second) = (entered(&mut sockets, ALICE, "1").number, entered(&mut sockets, ALICE, "2").number);
        for number in [first, second] {
            sockets.set_idle(number, true);
        }
        sockets.set_idle(first, false);
        sockets.set_idle(first, true);
        assert_eq!(entered(&mut sockets, ALICE, "3").evicted, Some("2"));
        sockets.set_idle(first, false);
        assert!(sockets.enter(ALICE, 100, "4").is_err());
    }

    #[test]
    fn past_the_bound_of_all_addresses_the_one_that_waits_longest_goes_and_else_an_upgrade_alone_is_served() {
        let mut sockets = Sockets::new(10);
        let alice = sockets.enter(ALICE, 2, "alice").expect("a place");
        let _ = sockets.enter(BOB, 2, "bob").expect("a place");
        assert_eq!(sockets.enter(BOB, 2, "spare").map(|entry| entry.is_spare), Ok(true));
        sockets.set_idle(alice.number, true);
        let entry = sockets.enter(BOB, 2, "new").expect("a place");
        assert_eq!((entry.evicted, entry.is_spare), (Some("alice"), false));
    }

    #[test]
    fn an_ipv6_64_is_one_address() {
        let mut sockets = Sockets::new(1);
        sockets.enter("2001:db8::1".parse().unwrap(), 9, ()).expect("a place");
        assert!(sockets.enter("2001:db8::2".parse().unwrap(), 9, ()).is_err());
        assert!(sockets.enter("2001:db8:0:1::1".parse().unwrap(), 9, ()).is_ok());
    }

    proptest! {
        #[test]
        fn tables_agree_whatever_comes_and_goes(steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_usize..20), 0..200)) {
            let mut sockets = Sockets::new(3);
            let mut known: Vec<u64> = Vec::new();
            for (step, last, at) in steps {
                let number = known.get(at).copied().unwrap_or(0);
                match step {
                    0 => known.extend(sockets.enter(IpAddr::from([203, 0, 113, last]), 7, ()).map(|entry| entry.number)),
                    1 => sockets.set_idle(number, true),
                    2 => sockets.set_idle(number, false),
                    _ => drop(sockets.leave(number)),
                }
                prop_assert_eq!(sockets.open(), sockets.addresses.values().map(|address| address.open).sum::<usize>());
                prop_assert!(sockets.addresses.values().all(|address| (1..=3).contains(&address.open)));
                let waiting: BTreeSet<_> = sockets.addresses.values().flat_map(|address| address.idle.clone()).collect();
                prop_assert_eq!(&waiting, &sockets.idle);
                prop_assert_eq!(waiting.len(), sockets.open.values().filter(|socket| socket.waits_since.is_some()).count());
            }
        }
    }
}
