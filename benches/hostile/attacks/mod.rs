//! Owns the list of attacks: the controls first, then by what they reach for.

mod control;
mod feeds;
mod http;
mod rooms;

use std::io;

use super::attacker::Stage;

pub struct Attack {
    pub name: &'static str,
    /// Besides the defaults; `{port}` is the attacker's listener.
    pub settings: &'static [(&'static str, &'static str)],
    pub run: fn(&mut Stage) -> io::Result<()>,
}

const fn plain(name: &'static str, run: fn(&mut Stage) -> io::Result<()>) -> Attack {
    Attack { name, settings: &[], run }
}

pub const ALL: &[Attack] = &[
    plain("control: nothing", control::nothing),
    plain("control: frames to a socket that only reads", control::frames),
    plain("`to` lists of unknown names", rooms::unknown_names),
    plain("`to` lists of one name repeated", rooms::repeated_name),
    plain("state of 28,000 small objects", rooms::small_objects),
    plain("patches refused at the bound of the state", rooms::refused_patches),
    plain("patches accepted at the bound of the state", rooms::accepted_patches),
    plain("rooms filled and left", rooms::filled_rooms),
    plain("joins of a room with a full state", rooms::joins),
    plain("64 KiB messages past the rate of bytes", rooms::big_messages),
    plain("frames that JSON parsers dislike", rooms::poison),
    plain("pings whose pongs nobody reads", feeds::client_pings),
    Attack { name: "topics that nobody has", settings: &[("HUBS", "lobby=bus")], run: feeds::topics },
    Attack {
        name: "an upstream's frames of 5,000 values",
        settings: &[("MASSIVE_API_KEY", "bench"), ("MASSIVE_WS_URL", "ws://127.0.0.1:{port}")],
        run: feeds::bursts,
    },
    Attack {
        name: "an upstream's pings, pongs never read",
        settings: &[("HUBS", "kraken"), ("KRAKEN_WS_URL", "ws://127.0.0.1:{port}")],
        run: feeds::pings,
    },
    plain("pipelined requests, answers never read", http::pipelined),
    plain("one pipelined connection, then silence", http::pipelined_rest),
    plain("idle keep-alive sockets", http::idle),
    plain("bodies that trickle", http::trickle),
    plain("handshakes of a foreign origin", http::foreign_origin),
    plain("malformed handshakes", http::malformed),
    plain("guesses of the operator's key", http::guesses),
];
