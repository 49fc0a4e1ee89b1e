//! Owns the tests of how an outbox ends: closed, or with a socket that fails.

use std::{sync::Arc, task::Wake};

use super::*;

/// A socket whose peer is gone.
struct Broken;

impl ByteSink for Broken {
    fn try_write_vectored(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_socket_that_fails_ends_the_connection_and_wakes_its_task() {
    let mut model = Model::new();
    model.outbox = Outbox::new(Box::new(Broken), model.flusher.clone(), MAX_BYTES);
    let woken = Arc::<Woken>::default();
    model.outbox.set_reader(&woken.clone().into());
    push(&model.outbox, &b"0123456789"[..]);
    model.turn();
    assert_eq!(
        (model.outbox.cause(), woken.0.load(std::sync::atomic::Ordering::Relaxed)),
        (Some(Cause::ConnectionLost), 1)
    );
    assert_eq!((model.queued(), model.outbox.is_empty()), ((0.0, 0.0), true));
}

#[test]
fn a5_a_close_is_written_when_the_connections_task_has_had_its_turn() {
    let model = Model::new();
    model.valve.room.set(usize::MAX);
    let woken = Arc::<Woken>::default();
    model.outbox.set_reader(&woken.clone().into());
    let mut flusher = pin!(model.flusher.clone().run());
    let mut context = Context::from_waker(Waker::noop());
    let _ = flusher.as_mut().poll(&mut context);
    model.outbox.close(Cause::Left, None);
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    let _ = flusher.as_mut().poll(&mut context);
    assert!(model.valve.taken.borrow().is_empty());
    let _ = flusher.as_mut().poll(&mut context);
    assert_eq!(model.valve.taken.take(), frame::close(1000, "left").to_vec());
}
