//! Owns the two pumps of a session: from the upstream to the client, and from the client to the
//! upstream. Neither waits for the other.

use std::{future::poll_fn, rc::Rc};

use futures_core::Stream;
use futures_util::stream::unfold;

use super::session::ProxySession;
use crate::ws::{Incoming, LinkError, LinkReader, LinkWriter, Outgoing};

/// Reads the upstream's messages, only while there is room for them.
pub(super) fn downward(
    session: Rc<ProxySession>,
    reader: LinkReader,
) -> impl Stream<Item = Result<Incoming, LinkError>> {
    unfold((session, reader), |(session, mut reader)| async move {
        poll_fn(|context| session.poll_room(context)).await;
        let item = reader.next().await?;
        Some((item, (session, reader)))
    })
}

/// Writes the client's messages: all that wait, then a flush. Ends after the close frame, or when
/// the upstream takes nothing more; the reading direction learns why.
pub(super) async fn upward(session: Rc<ProxySession>, mut writer: LinkWriter) {
    loop {
        let mut message = Some(poll_fn(|context| session.poll_next(context)).await);
        let mut is_last = false;
        while let Some(next) = message.filter(|_| !is_last) {
            is_last = matches!(next, Outgoing::Close(..));
            if writer.feed(next).await.is_err() {
                return session.forget_queue();
            }
            message = session.next();
        }
        if writer.flush().await.is_err() {
            return session.forget_queue();
        }
        if is_last {
            return;
        }
    }
}
