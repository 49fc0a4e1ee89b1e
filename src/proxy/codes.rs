//! Owns the translation of close codes between the two legs of a proxy session (X4); some codes
//! must not be sent (RFC 6455 section 7.4.1).

use crate::protocol::Cause;

/// The code that the client is closed with when the upstream closed with `code` (`None`: without a
/// code).
pub(super) fn to_client(code: Option<u16>) -> u16 {
    code.filter(|code| may_be_sent(*code)).unwrap_or(1011)
}

/// The code that the upstream is closed with when the client closed with `code`.
pub(super) fn to_upstream(code: Option<u16>) -> u16 {
    // Codes from 1011 on are for servers, or must not be sent; a client that gave no code has
    // simply finished.
    code.filter(|code| matches!(code, 1000..=1003 | 1007..=1010 | 3000..=4999)).unwrap_or(1000)
}

/// Returns true if the client may come back after this: it did not mean to leave, and was not asked
/// to stop (section 4).
pub(super) fn was_an_accident(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectionLost
            | Cause::HeartbeatTimeout
            | Cause::TokenExpired
            | Cause::RateExceeded
            | Cause::TooSlow
            | Cause::RoomFailed
    )
}

fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x4_codes_pass_and_those_that_must_not_be_sent_become_1011() {
        for code in [1000, 1001, 1008, 1011, 1013, 3000, 4003, 4999] {
            assert_eq!(to_client(Some(code)), code);
        }
        for code in [None, Some(0), Some(1004), Some(1005), Some(1006), Some(1015), Some(2999), Some(5000)] {
            assert_eq!(to_client(code), 1011, "{code:?}");
        }
    }

    #[test]
    fn x4_a_client_that_gave_no_code_has_finished() {
        for code in [1000, 1001, 3000, 4999] {
            assert_eq!(to_upstream(Some(code)), code);
        }
        for code in [None, Some(1005), Some(1006), Some(1015)] {
            assert_eq!(to_upstream(code), 1000, "{code:?}");
        }
    }
}
