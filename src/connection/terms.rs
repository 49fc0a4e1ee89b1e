//! Owns the settings that all connections of the server share.

use std::time::Duration;

use crate::{
    config::ConnectionConfig,
    gate::{Guards, token::MAX_TOKEN_BYTES},
    service::Target,
};

/// The length of an `auth` frame with the longest token and its other fields.
const MAX_AUTH_BYTES: usize = MAX_TOKEN_BYTES + 1024;

pub(crate) struct Terms {
    pub connection: ConnectionConfig,
    /// How long a client may take to authenticate (A7).
    pub auth_timeout: Duration,
    pub guards: Guards,
}

impl Terms {
    /// Returns the longest message that is accepted at first, in bytes. A client that has not shown
    /// a token gets no larger bound than any other client.
    pub(crate) fn first_max_message_bytes(&self, target: &dyn Target, has_token: bool) -> usize {
        let needs_token = self.guards.tokens.is_some();
        let own = target.max_message_bytes().filter(|_| has_token || !needs_token);
        own.unwrap_or_else(|| {
            let max = self.connection.max_message_bytes;
            // A token may be longer than any other message.
            if needs_token { max.max(MAX_AUTH_BYTES) } else { max }
        })
    }
}
