//! Owns `Permit`: the right to hold one connection, given back when it is dropped, however that comes about.
//! Called by `registry::actor`, which gives them out, and `connection`, which holds one.

use std::net::IpAddr;

use actix::Recipient;

use super::messages::PermitReleased;

/// One connection's place under `MAX_CONNECTIONS_PER_IP` and `MAX_WS_CONNECTIONS` (A5).
pub struct Permit {
    address: IpAddr,
    registry: Recipient<PermitReleased>,
}

impl Permit {
    pub(super) fn new(address: IpAddr, registry: Recipient<PermitReleased>) -> Self {
        Self { address, registry }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.registry.do_send(PermitReleased { address: self.address });
    }
}
