//! Owns the server's welcome frame on a resumable proxy connection. Every later frame is the
//! upstream's.

use serde::Serialize;

use super::{ProxyId, ResumeReason, Verdict};

/// The first frame of a resumable proxy connection, modelled on R2's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ProxyWelcome<'a> {
    /// 1, the version of the contract.
    pub protocol: u32,
    pub proxy: &'a ProxyId,
    /// The secret the client resumes with.
    pub session: &'a str,
    pub resume: Verdict,
    /// Why the verdict is worse than the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ResumeReason>,
    /// With `snapshot`: the numbers of the first and the last lost frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<(u64, u64)>,
    /// The number of upstream frames so far, including those sent after this welcome.
    pub seq: u64,
    /// The number of the next upstream frame.
    pub next: u64,
    /// The number of client frames so far, including refused ones.
    pub last_id: u64,
    pub resume_ms: u64,
    pub max_message_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ServerFrame;

    #[test]
    fn a_welcome_says_where_one_stands_and_leaves_out_what_there_is_not() {
        let proxy = ProxyId::parse("openai").expect("a name");
        let mut welcome = ProxyWelcome {
            protocol: 1,
            proxy: &proxy,
            session: "1.s",
            resume: Verdict::New,
            reason: None,
            lost: None,
            seq: 0,
            next: 1,
            last_id: 0,
            resume_ms: 10_000,
            max_message_bytes: 5,
        };
        let text = |welcome: &ProxyWelcome<'_>| {
            let mut out = Vec::new();
            ServerFrame::ProxyWelcome(*welcome).write(&mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            text(&welcome),
            r#"{"type":"welcome","protocol":1,"proxy":"openai","session":"1.s","resume":"new","seq":0,"next":1,"last_id":0,"resume_ms":10000,"max_message_bytes":5}"#
        );
        welcome.resume = Verdict::Snapshot;
        (welcome.reason, welcome.lost) = (Some(ResumeReason::HistoryTooShort), Some((2, 3)));
        let expected = r#""resume":"snapshot","reason":"history_too_short","lost":[2,3],"#;
        assert!(text(&welcome).contains(expected), "{}", text(&welcome));
    }
}
