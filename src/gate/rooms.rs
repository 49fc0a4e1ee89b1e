//! Owns how many rooms the server has on all shards together: in total, and per address that opened
//! them (S14).

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The bound of S14 that is reached, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomLimit {
    Server(usize),
    Address(usize),
}

impl RoomLimit {
    /// Returns the label of the refusals metric.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Server(_) => "max_rooms",
            Self::Address(_) => "max_rooms_per_address",
        }
    }
}

impl fmt::Display for RoomLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(max) => {
                write!(f, "the server holds {max} rooms (MAX_ROOMS); join one that is there, or retry later")
            }
            Self::Address(max) => write!(
                f,
                "this address has opened {max} rooms that are still there (MAX_ROOMS_PER_ADDRESS); join one of them, or retry later"
            ),
        }
    }
}

/// Why a room opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The room is new, for a client of this address.
    New(IpAddr),
    /// The room is new, for a back end. It counts for no address.
    Made,
    /// The room is restored from its log, for a client of this address without a seat in it. It
    /// counts for no address, as the log does not record who opened it.
    Visited(IpAddr),
    /// The room is restored from its log, for a client with a seat in it or for a back end. No
    /// bound refuses this.
    Resumed,
}

/// Counts the rooms of all shards.
pub(crate) struct RoomPermits {
    max: usize,
    max_per_address: usize,
    taken: Mutex<RoomCounts>,
}

#[derive(Default)]
struct RoomCounts {
    total: usize,
    /// Invariant: no entry is 0.
    by_address: HashMap<IpAddr, usize>,
}

/// One room's permit. The room's slot holds it until the room is over; dropping it returns it.
pub(crate) struct RoomPlace {
    rooms: Arc<RoomPermits>,
    address: Option<IpAddr>,
}

impl RoomPermits {
    /// `max` is `MAX_ROOMS`, `max_per_address` is `MAX_ROOMS_PER_ADDRESS`.
    pub(crate) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_address, taken: Mutex::default() })
    }

    /// Takes a permit. Addresses must be keys of limits already (`address::limit_key`).
    ///
    /// # Errors
    /// [`RoomLimit`]. Nothing was taken.
    pub(crate) fn take(self: &Arc<Self>, opening: Opening) -> Result<RoomPlace, RoomLimit> {
        let mut taken = self.lock();
        let asking = match opening {
            Opening::New(address) | Opening::Visited(address) => Some(address),
            Opening::Made | Opening::Resumed => None,
        };
        if opening != Opening::Resumed {
            let held = asking.and_then(|address| taken.by_address.get(&address)).copied().unwrap_or(0);
            // Checked first, as the client can do more about its own limit.
            if held >= self.max_per_address {
                return Err(RoomLimit::Address(self.max_per_address));
            }
            if taken.total >= self.max {
                return Err(RoomLimit::Server(self.max));
            }
        }
        let address = asking.filter(|_| matches!(opening, Opening::New(_)));
        taken.total += 1;
        if let Some(address) = address {
            *taken.by_address.entry(address).or_default() += 1;
        }
        drop(taken);
        Ok(RoomPlace { rooms: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, RoomCounts> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RoomPlace {
    fn drop(&mut self) {
        let mut taken = self.rooms.lock();
        taken.total -= 1;
        if let Some(address) = self.address
            && let Some(held) = taken.by_address.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn s14_what_comes_back_for_a_seat_is_never_refused_and_what_the_back_end_makes_is_no_addresss() {
        let rooms = RoomPermits::new(3, 1);
        let held: Vec<_> =
            [Opening::New(address(1)), Opening::Made, Opening::Made].map(|why| rooms.take(why).ok()).into();
        assert!(held.iter().all(Option::is_some));
        let refused = |opening| rooms.take(opening).err();
        assert_eq!(refused(Opening::New(address(1))), Some(RoomLimit::Address(1)));
        assert_eq!(refused(Opening::New(address(2))), Some(RoomLimit::Server(3)));
        assert_eq!(refused(Opening::Made), Some(RoomLimit::Server(3)));
        assert_eq!(refused(Opening::Visited(address(2))), Some(RoomLimit::Server(3)));
        assert_eq!(refused(Opening::Resumed), None);
    }

    proptest! {
        #[test]
        fn s14_counts_agree_with_a_plain_list(steps in prop::collection::vec((0_u8..5, 0_u8..3), 0..200)) {
            let rooms = RoomPermits::new(6, 2);
            let mut held: Vec<(RoomPlace, Option<u8>)> = Vec::new();
            for (step, last) in steps {
                let (opening, counts, may_fail) = match step {
                    0 => (Opening::New(address(last)), Some(last), true),
                    1 => (Opening::Visited(address(last)), None, true),
                    2 => (Opening::Made, None, true),
                    3 => (Opening::Resumed, None, false),
                    _ => {
                        if !held.is_empty() {
                            held.swap_remove(usize::from(last) % held.len());
                        }
                        continue;
                    }
                };
                let mine = held.iter().filter(|(_, owner)| *owner == Some(last)).count();
                let is_full = held.len() >= 6 || (step < 2 && mine >= 2);
                match rooms.take(opening) {
                    Ok(place) => {
                        prop_assert!(!may_fail || !is_full);
                        held.push((place, counts));
                    }
                    Err(_) => prop_assert!(may_fail && is_full),
                }
                prop_assert_eq!(rooms.lock().total, held.len());
            }
            drop(held);
            prop_assert!(rooms.lock().total == 0 && rooms.lock().by_address.is_empty());
        }
    }
}
