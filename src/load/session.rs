//! Owns the life of a player: it joins, comes back after cuts and outages, and leaves at the end.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    player::{ConnectionEnd, LoadPlayer},
    worker::LoadWorker,
};
use crate::ws::{
    client::{ClientRequest, ClientSocket, HandshakeError},
    dial::NearEnd,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait for the server's close at the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Exponential backoff with full jitter (C1): the bound of the first wait, and of any.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How often a slow reader reads.
const SLOW_TICK: Duration = Duration::from_millis(100);
const SLOW_BUFFER_BYTES: u32 = 16 * 1024;

/// What a player does when a connection has ended.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// After this time.
    Resume(Duration),
    Stop,
}

pub(super) async fn play(worker: Rc<LoadWorker>, player: Rc<LoadPlayer>) {
    let options = &worker.plan.options;
    let place = player.room.number * options.players + player.index;
    let share = place as f64 / worker.plan.players() as f64;
    let joins_at = worker.clock.at(options.ramp.mul_f64(share).as_nanos() as u64);
    let mut attempts = 0;
    let mut wait = joins_at.saturating_duration_since(tokio::time::Instant::now());
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            () = worker.over() => return,
        }
        let opened = tokio::select! {
            opened = connect(&worker, &player, place) => opened,
            () = worker.over() => return,
        };
        let ending = match opened {
            Ok(socket) => {
                player.state.borrow_mut().socket = Some(socket);
                player.take_first(&worker);
                Ok(drive(&worker, &player).await)
            }
            Err(error) => Err(error),
        };
        if matches!(ending, Ok(ConnectionEnd::Over)) {
            return leave(&player).await;
        }
        if player.state.borrow().view.is_welcome {
            attempts = 0;
        }
        match after(&worker, &player, &ending, attempts) {
            Next::Resume(after) => wait = after,
            Next::Stop => {
                worker.tally.borrow_mut().counts.stopped += 1;
                return worker.shared.player_stopped(format!("{}: {}", player.name(&worker), words(&player, &ending)));
            }
        }
        attempts += 1;
    }
}

async fn connect(worker: &LoadWorker, player: &LoadPlayer, place: usize) -> Result<ClientSocket, HandshakeError> {
    let _permit = worker.connecting.acquire().await;
    let (plan, target) = (&worker.plan, &worker.plan.target);
    let (game, name) = (plan.game(player.room.number), plan.tokens.player(player.index));
    let mut path = format!("{}/ws/{game}/{name}", target.base);
    {
        let view = &mut player.state.borrow_mut().view;
        view.attempt_at = worker.clock.now();
        view.reconnect_after = None;
        view.error = None;
        if let Some(session) = &view.session {
            let secret: String = form_urlencoded::byte_serialize(session.as_bytes()).collect();
            path += &format!("?session={secret}&seq={}", view.check.seq());
        }
    }
    let token = plan.tokens.token(player.index);
    let request = ClientRequest { host: &target.authority, path_and_query: &path, token };
    let opening = async {
        let address = (target.host.as_str(), target.port);
        let near =
            NearEnd { from: plan.from(place), receive_bytes: player.habits.is_slow.then_some(SLOW_BUFFER_BYTES) };
        let stream = worker.dialer.stream(address, target.is_secure, near, CONNECT_TIMEOUT).await;
        ClientSocket::open(stream.map_err(HandshakeError::Dial)?, &request).await
    };
    timeout(CONNECT_TIMEOUT, opening).await.unwrap_or_else(|_| {
        player.state.borrow_mut().view.has_abandoned = true;
        Err(HandshakeError::Broken("the handshake timed out".to_owned()))
    })
}

/// Reads and writes until the connection ends.
async fn drive(worker: &LoadWorker, player: &LoadPlayer) -> ConnectionEnd {
    let options = &worker.plan.options;
    let per_tick = (options.slow_bytes as f64 * SLOW_TICK.as_secs_f64()).ceil() as usize;
    while player.habits.is_slow && !worker.shared.is_over() && worker.clock.now() < worker.shared.end() {
        let read = poll_fn(|context| match player.poll(context, worker, per_tick) {
            Poll::Ready(ending) => Poll::Ready(Some(ending)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(ending) = read.await {
            return ending;
        }
        tokio::select! {
            () = sleep(SLOW_TICK) => {}
            () = worker.over() => {}
        }
    }
    let mut cut = pin!(player.habits.drops.then(|| sleep(options.drop_every.mul_f64(0.5 + fastrand::f64()))));
    poll_fn(|context| {
        if worker.shared.is_over() {
            return Poll::Ready(ConnectionEnd::Over);
        }
        if let Some(mut cut) = cut.as_mut().as_pin_mut()
            && cut.as_mut().poll(context).is_ready()
        {
            let now = worker.clock.now();
            if (worker.shared.measured_from()..worker.shared.end()).contains(&now)
                && player.state.borrow().view.is_welcome
            {
                return Poll::Ready(ConnectionEnd::Cut);
            }
            cut.as_mut().reset(worker.clock.at(now) + options.drop_every);
            // Registers the new time with this task.
            let _ = cut.poll(context);
        }
        player.poll(context, worker, usize::MAX)
    })
    .await
}

/// LoadCounts the end of a connection or attempt, and decides what follows.
fn after(
    worker: &LoadWorker,
    player: &LoadPlayer,
    ending: &Result<ConnectionEnd, HandshakeError>,
    attempts: u32,
) -> Next {
    let mut state = player.state.borrow_mut();
    state.socket = None;
    let view = &mut state.view;
    let was_welcome = std::mem::take(&mut view.is_welcome);
    let mut tally = worker.tally.borrow_mut();
    if was_welcome {
        tally.counts.connected -= 1;
    }
    if matches!(ending, Ok(ConnectionEnd::Cut)) {
        tally.counts.cuts += 1;
        view.has_cut = true;
        return Next::Resume(worker.plan.options.away.mul_f64(0.5 + fastrand::f64()));
    }
    if was_welcome && !view.has_cut {
        view.lost_at = Some(worker.clock.now());
    }
    *tally.ends.entry(kind(ending)).or_default() += 1;
    drop(tally);
    let next = decide(ending, view.reconnect_after, std::mem::take(&mut view.has_abandoned), backoff(attempts));
    drop(state);
    if next != Next::Stop {
        worker.shared.player_failed(format!("{}: {}", player.name(worker), words(player, ending)));
    }
    next
}

/// The rules of C1 and section 4.
fn decide(
    ending: &Result<ConnectionEnd, HandshakeError>,
    reconnect_after: Option<Duration>,
    has_abandoned: bool,
    backoff: Duration,
) -> Next {
    match ending {
        Ok(ConnectionEnd::Over) => Next::Stop,
        Ok(ConnectionEnd::Closed(4000, _)) if has_abandoned => Next::Resume(backoff),
        Ok(ConnectionEnd::Closed(1000 | 1008 | 1009 | 4000 | 4002..=4004 | 4010 | 4011 | 4500..=4999, _)) => Next::Stop,
        Ok(ConnectionEnd::Closed(1012, _)) => Next::Resume(reconnect_after.unwrap_or(backoff)),
        Ok(ConnectionEnd::Closed(..) | ConnectionEnd::Lost(_) | ConnectionEnd::Cut) => Next::Resume(backoff),
        Err(HandshakeError::Refused { status: 408 | 425 | 429 | 500.., retry_after, .. }) => {
            Next::Resume(retry_after.unwrap_or_default().max(backoff))
        }
        Err(HandshakeError::Refused { .. }) => Next::Stop,
        Err(HandshakeError::Dial(_) | HandshakeError::Broken(_)) => Next::Resume(backoff),
    }
}

fn backoff(attempts: u32) -> Duration {
    let bound = FIRST_BACKOFF.saturating_mul(1 << attempts.min(16)).min(MAX_BACKOFF);
    bound.mul_f64(fastrand::f64()).max(Duration::from_millis(10))
}

/// The kind of an end, to count it by.
fn kind(ending: &Result<ConnectionEnd, HandshakeError>) -> String {
    match ending {
        Ok(ConnectionEnd::Closed(code, _)) => format!("closed with {code}"),
        Ok(ConnectionEnd::Lost(why)) => format!("lost: {why}"),
        Ok(ConnectionEnd::Cut | ConnectionEnd::Over) => "cut".to_owned(),
        Err(HandshakeError::Refused { status, .. }) => format!("refused with {status}"),
        Err(error) => format!("not connected: {error}"),
    }
}

/// Why it ended, with what the server says of it.
fn words(player: &LoadPlayer, ending: &Result<ConnectionEnd, HandshakeError>) -> String {
    let said = match (ending, &player.state.borrow().view.error) {
        (Ok(_), Some((code, message))) => format!(" ({code}: {message})"),
        _ => String::new(),
    };
    match ending {
        Ok(ConnectionEnd::Closed(code, reason)) if !reason.is_empty() => format!("closed with {code} {reason}{said}"),
        Err(error) => error.to_string(),
        _ => format!("{}{said}", kind(ending)),
    }
}

/// Gives the seat up, so that the room ends.
async fn leave(player: &LoadPlayer) {
    let Some(mut socket) = player.state.borrow_mut().socket.take() else { return };
    socket.put_text(br#"{"type":"leave"}"#);
    let left = poll_fn(|context| {
        if let Poll::Ready(Err(_)) = socket.poll_flush(context) {
            return Poll::Ready(());
        }
        let mut has_closed = false;
        loop {
            let closed = socket.poll_read(context, usize::MAX, |frame| {
                has_closed |= matches!(frame, crate::ws::client::ClientFrame::Close(..));
            });
            match closed {
                Poll::Ready(Ok(_)) if !has_closed => {}
                Poll::Ready(_) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        // The answer to the close frame; what does not go at once is not missed.
        socket.put_close();
        let _ = socket.poll_flush(context);
        Poll::Ready(())
    });
    let _ = timeout(LEAVE_TIMEOUT, left).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_a_player_comes_back_or_stops_as_the_code_says() {
        let backoff = Duration::from_millis(7);
        let closed = |code| decide(&Ok(ConnectionEnd::Closed(code, String::new())), None, false, backoff);
        for code in [1000, 1008, 1009, 4000, 4002, 4003, 4004, 4010, 4011, 4500, 4999] {
            assert_eq!(closed(code), Next::Stop, "{code}");
        }
        for code in [1001, 1006, 1011, 1012, 1013, 3000, 4001, 4005, 4008, 4009, 4029, 4499] {
            assert_eq!(closed(code), Next::Resume(backoff), "{code}");
        }
        let slot = Duration::from_secs(2);
        let closed =
            |code, abandoned| decide(&Ok(ConnectionEnd::Closed(code, String::new())), Some(slot), abandoned, backoff);
        assert_eq!((closed(1012, false), closed(4000, true)), (Next::Resume(slot), Next::Resume(backoff)));
        let refused = |status, retry_after| {
            decide(&Err(HandshakeError::Refused { status, retry_after, why: String::new() }), None, false, backoff)
        };
        assert_eq!((refused(503, Some(slot)), refused(429, None)), (Next::Resume(slot), Next::Resume(backoff)));
        assert_eq!((refused(403, None), refused(404, Some(slot))), (Next::Stop, Next::Stop));
    }
}
