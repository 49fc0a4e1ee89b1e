//! Owns the two pumps of a relay: from the upstream to the client, and from the client to the
//! upstream. Neither waits for the other.

use std::{future::poll_fn, rc::Rc};

use futures_core::Stream;
use futures_util::stream::unfold;

use super::session::ProxySession;
use crate::ws::{Incoming, LinkError, LinkReader, LinkWriter, Outgoing};

/// What the upstream says, read only while there is room for it.
pub fn downward(line: Rc<ProxySession>, reader: LinkReader) -> impl Stream<Item = Result<Incoming, LinkError>> {
    unfold((line, reader), |(line, mut reader)| async move {
        poll_fn(|context| line.poll_room(context)).await;
        let item = reader.next().await?;
        Some((item, (line, reader)))
    })
}

/// Writes what the client says: all that waits, then a flush. Ends with the close frame, or when the upstream takes nothing any
/// more; why, the other direction tells.
pub async fn upward(line: Rc<ProxySession>, mut writer: LinkWriter) {
    loop {
        let mut message = Some(poll_fn(|context| line.poll_next(context)).await);
        let mut is_last = false;
        while let Some(next) = message.filter(|_| !is_last) {
            is_last = matches!(next, Outgoing::Close(..));
            if writer.feed(next).await.is_err() {
                return line.forget_queue();
            }
            message = line.next();
        }
        if writer.flush().await.is_err() {
            return line.forget_queue();
        }
        if is_last {
            return;
        }
    }
}
