//! Owns the decisions of admission (section 2): origin, address, rate, permits, token. Pure:
//! callers pass the time in.

pub(crate) mod access;
pub(crate) mod address;
pub(crate) mod credentials;
pub(crate) mod operator;
pub(crate) mod origin;
pub(crate) mod permits;
pub(crate) mod rate;
pub(crate) mod rooms;
pub(crate) mod sockets;
pub(crate) mod token;

pub(crate) use self::{
    access::{BadToken, Guards, Pass, Resource, Standing, Unverified},
    operator::{Asking, OperatorError, Operators},
    permits::Permits,
    rate::{RateLimiter, TokenBucket},
    rooms::{Opening, RoomLimit, RoomPermits, RoomPlace},
    sockets::Sockets,
    token::{AdminScope, ClientIdentity, Expiry, TokenError, Tokens, VerificationKey},
};
