//! Owns `Permit`: the right to hold one connection. Dropping it returns it.

use std::net::IpAddr;

use actix::Recipient;

use super::messages::PermitReleased;
use crate::protocol::Refusal;

/// One connection's permit under `MAX_CONNECTIONS_PER_IP` and `MAX_WS_CONNECTIONS` (A5).
pub(crate) struct Permit {
    address: IpAddr,
    registry: Recipient<PermitReleased>,
    /// Boxed, as every connection holds a permit and hardly any exceeds a limit.
    over: Option<Box<Refusal>>,
}

impl Permit {
    pub(super) fn new(address: IpAddr, registry: Recipient<PermitReleased>, over: Option<Refusal>) -> Self {
        Self { address, registry, over: over.map(Box::new) }
    }

    /// See [`Refusal::name_proxy`].
    pub(crate) fn name_proxy(&mut self, header: Option<&'static str>) {
        if let Some(over) = &mut self.over {
            over.name_proxy(header);
        }
    }

    /// A5a: takes the limit that this permit exceeds. Its holder must replace another connection,
    /// or close.
    pub(crate) fn take_over_limit(&mut self) -> Option<Box<Refusal>> {
        self.over.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.registry.do_send(PermitReleased { address: self.address });
    }
}
