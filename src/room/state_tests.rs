//! Owns the property tests of a room: whatever happens, each client gets what is addressed to it
//! once and in order. `state_tests/world.rs` has the room under test and a model of it, `client.rs`
//! a model of a client.

mod arrivals;
mod client;
mod crash;
mod talkative;
mod world;

use proptest::prelude::*;

use arrivals::Claim;
use world::{Id, World};

/// One step of a test. `who` is a player, 0 to 2, or the spectator, 3.
#[derive(Debug, Clone)]
enum Happening {
    /// A new socket, even while the old one still seems open. `keep` of the old one's frames in
    /// flight arrive before.
    Join {
        who: usize,
        claim: Claim,
        authenticated: bool,
        keep: usize,
    },
    /// The socket breaks. The server notices now or later.
    Cut {
        who: usize,
        keep: usize,
        noticed: bool,
    },
    /// The server notices one socket that broke earlier.
    Notice,
    /// The client accepts `bytes` more bytes, then nothing.
    Stall {
        who: usize,
        bytes: usize,
    },
    Read {
        who: usize,
    },
    Send {
        who: usize,
        id: Id,
        to: Option<u8>,
        what: u8,
        times: usize,
    },
    Patch {
        who: usize,
        id: Id,
        field: u8,
        value: u8,
        stale: bool,
    },
    Volatile {
        who: usize,
        name: u8,
    },
    Leave {
        who: usize,
    },
    Wait {
        ms: u64,
    },
    /// `kill -9` and a new process: only what is stored is left. `keep` frames in flight still
    /// reach each client.
    Crash {
        keep: usize,
    },
}

fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        6 => Just(Claim::Own),
        2 => Just(Claim::Nothing),
        1 => (0u64..3).prop_map(Claim::Ahead),
        1 => Just(Claim::OtherEpoch),
        1 => Just(Claim::Guess),
    ]
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![4 => (1u64..4).prop_map(Id::Next), 1 => (0u64..3).prop_map(Id::Repeat), 1 => Just(Id::None)]
}

fn happening() -> impl Strategy<Value = Happening> {
    let (player, anybody) = (0usize..3, 0usize..4);
    prop_oneof![
        5 => (anybody.clone(), claim(), any::<bool>(), 0usize..8)
            .prop_map(|(who, claim, authenticated, keep)| Happening::Join { who, claim, authenticated, keep }),
        2 => (anybody.clone(), 0usize..12, any::<bool>())
            .prop_map(|(who, keep, noticed)| Happening::Cut { who, keep, noticed }),
        1 => Just(Happening::Notice),
        1 => (anybody.clone(), 0usize..400).prop_map(|(who, bytes)| Happening::Stall { who, bytes }),
        3 => anybody.clone().prop_map(|who| Happening::Read { who }),
        8 => (player.clone(), id(), proptest::option::of(0u8..8), 0u8..5, 1usize..8)
            .prop_map(|(who, id, to, what, times)| Happening::Send { who, id, to, what, times }),
        4 => (player.clone(), id(), 0u8..3, 0u8..4, proptest::bool::weighted(0.2))
            .prop_map(|(who, id, field, value, stale)| Happening::Patch { who, id, field, value, stale }),
        2 => (player, 0u8..2).prop_map(|(who, name)| Happening::Volatile { who, name }),
        1 => anybody.prop_map(|who| Happening::Leave { who }),
        2 => (0u64..900).prop_map(|ms| Happening::Wait { ms }),
        1 => (0usize..8).prop_map(|keep| Happening::Crash { keep }),
    ]
}

/// The settings of a room: how many events it keeps, up to how many seats it names players, whether
/// it has a flush interval, whether its logic emits anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub history_events: usize,
    pub presence_limit: usize,
    pub holds: bool,
    pub talkative: bool,
}

fn terms() -> impl Strategy<Value = Terms> {
    let history = prop_oneof![2 => Just(100_000usize), 1 => 0usize..30];
    let limit = prop_oneof![3 => Just(500usize), 1 => 0usize..3];
    (history, limit, any::<bool>(), any::<bool>()).prop_map(|(history_events, presence_limit, holds, talkative)| {
        Terms { history_events, presence_limit, holds, talkative }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// S1, S2, R2, R3, R5: `client::Client::hear` checks each frame, `World::event` the log, and
    /// `World::read` what must have arrived.
    #[test]
    fn r5_whatever_happens_each_sees_what_is_addressed_to_it_once_in_order_and_is_told_what_is_lost(
        terms in terms(),
        happenings in proptest::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new(terms);
        for happening in happenings {
            match happening {
                Happening::Join { who, claim, authenticated, keep } => world.join(who, claim, authenticated, keep),
                Happening::Cut { who, keep, noticed } => world.cut(who, keep, noticed),
                Happening::Notice => world.notice(),
                Happening::Stall { who, bytes } => world.stall(who, bytes),
                Happening::Read { who } => world.read(who),
                Happening::Send { who, id, to, what, times } => {
                    (0..times).for_each(|_| world.send(who, id, to, what));
                }
                Happening::Patch { who, id, field, value, stale } => world.patch(who, id, field, value, stale),
                Happening::Volatile { who, name } => world.volatile(who, name),
                Happening::Leave { who } => world.leave(who),
                Happening::Wait { ms } => world.wait(ms),
                Happening::Crash { keep } => world.crash(keep),
            }
            world.settle();
        }
        world.end();
    }
}

#[test]
fn r3_the_model_itself_sees_each_verdict() {
    let terms = Terms { history_events: 4, presence_limit: 500, holds: false, talkative: false };
    let mut world = World::new(terms);
    for claim in [Claim::Nothing, Claim::Own, Claim::Ahead(0), Claim::Own] {
        world.join(0, claim, false, usize::MAX);
        world.read(0);
    }
    world.cut(0, usize::MAX, true);
    world.join(1, Claim::Nothing, false, 0);
    (0..9).for_each(|_| world.send(1, Id::Next(1), None, 0));
    world.join(0, Claim::Own, false, 0);
    world.read(0);
    assert_eq!(world.verdicts(), ["new", "continuous", "reset", "continuous", "new", "snapshot"]);
    world.end();
}
