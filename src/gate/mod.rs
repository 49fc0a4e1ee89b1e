//! Owns the decisions of admission (section 2): origin, address, rate, permits, token. Pure:
//! callers pass the time in.

pub mod access;
pub mod address;
pub mod credentials;
pub mod operator;
pub mod origin;
pub mod permits;
pub mod rate;
pub mod rooms;
pub mod sockets;
pub mod token;

pub use self::{
    access::{BadToken, Guards, Pass, Resource, Standing, Unverified},
    operator::{Asking, OperatorError, Operators},
    permits::Permits,
    rate::{RateLimiter, TokenBucket},
    rooms::{Opening, RoomLimit, RoomPermits, RoomPlace},
    sockets::Sockets,
    token::{AdminScope, ClientIdentity, Expiry, TokenError, Tokens, VerificationKey},
};
