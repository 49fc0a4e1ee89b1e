//! Owns the options of `innkeeper load`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::units::{self, AtMost};

/// The options as they are given; `plan` checks them together.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadOptions {
    /// The server: ws://, wss://, http:// or https://, with a port and a path if it has them
    pub url: String,
    /// How many rooms
    #[arg(long, default_value_t = 5)]
    pub rooms: usize,
    /// How many players are in each room
    #[arg(long, default_value_t = 2)]
    pub players: usize,
    /// How many players of each room send; without it all
    #[arg(long)]
    pub senders: Option<usize>,
    /// Messages a second of each sender; 0: the players are idle
    #[arg(long, default_value = "20", value_parser = units::rate)]
    pub rate: f64,
    /// Length of each message's data; a message is never shorter than its stamp
    #[arg(long, default_value = "64", value_parser = units::bytes)]
    pub bytes: usize,
    /// How long to measure, once all players have joined
    #[arg(long = "for", default_value = "10s", value_parser = units::time_above_zero, value_name = "TIME")]
    pub measured: Duration,
    /// Time before that in which messages are sent and checked, but not timed
    #[arg(long, default_value = "1s", value_parser = units::time, value_name = "TIME")]
    pub warmup: Duration,
    /// Time over which the joins are spread; without it they come as fast as the server takes them
    #[arg(long, default_value = "0s", value_parser = units::time, value_name = "TIME")]
    pub ramp: Duration,
    /// Share of the players that read slowly
    #[arg(long, default_value = "0%", value_parser = units::share, value_name = "SHARE")]
    pub slow: f64,
    /// Bytes a second that each of them reads
    #[arg(long, default_value = "4k", value_parser = units::bytes, value_name = "BYTES")]
    pub slow_bytes: usize,
    /// Share of the players that cut their connection again and again, and resume
    #[arg(long, default_value = "0%", value_parser = units::share, value_name = "SHARE")]
    pub droppers: f64,
    /// Time between two cuts of one of them, on average
    #[arg(long, default_value = "5s", value_parser = units::time_above_zero, value_name = "TIME")]
    pub drop_every: Duration,
    /// How long it then stays away, on average
    #[arg(long, default_value = "500ms", value_parser = units::time, value_name = "TIME")]
    pub away: Duration,
    /// When to run the command of the --run that follows, from the start of the measuring; may be
    /// given again
    #[arg(long, value_parser = units::time, value_name = "TIME")]
    pub at: Vec<Duration>,
    /// A command for sh, such as one that deploys or kills the server; may be given again
    #[arg(long, value_name = "COMMAND")]
    pub run: Vec<String>,
    /// How long the players may take to join, after the ramp
    #[arg(long, default_value = "30s", value_parser = units::time_above_zero, value_name = "TIME")]
    pub join_timeout: Duration,
    /// How long to wait at the end for messages that are still owed
    #[arg(long, default_value = "10s", value_parser = units::time, value_name = "TIME")]
    pub settle: Duration,
    /// Fail if the median latency is above this
    #[arg(long, value_parser = units::time_above_zero, value_name = "TIME")]
    pub p50: Option<Duration>,
    /// Fail if the 99th percentile of the latency is above this
    #[arg(long, value_parser = units::time_above_zero, value_name = "TIME")]
    pub p99: Option<Duration>,
    /// Fail if the 99.9th percentile of the latency is above this
    #[arg(long, value_parser = units::time_above_zero, value_name = "TIME")]
    pub p999: Option<Duration>,
    /// Fail if the greatest latency is above this
    #[arg(long, value_parser = units::time_above_zero, value_name = "TIME")]
    pub max: Option<Duration>,
    /// Fail if more deliveries than this are lost; any: never
    #[arg(long, default_value = "0", value_parser = units::at_most, value_name = "COUNT")]
    pub lost: AtMost,
    /// Fail if more deliveries than this came twice; any: never
    #[arg(long, default_value = "0", value_parser = units::at_most, value_name = "COUNT")]
    pub duplicates: AtMost,
    /// Fail if more resumes than this were not continuous; any: never
    #[arg(long, default_value = "0", value_parser = units::at_most, value_name = "COUNT")]
    pub resets: AtMost,
    /// Print the result as JSON instead of words
    #[arg(long)]
    pub json: bool,
    /// Names of the rooms begin with this
    #[arg(long, default_value = "load")]
    pub prefix: String,
    /// File with the server's JWT_SECRET, to sign a token for each player; without it JWT_SECRET,
    /// if set
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub jwt_secret_file: Option<PathBuf>,
    /// A token whose player takes part in every room; given again for each of --players
    #[arg(long)]
    pub token: Vec<String>,
    /// A local address to connect from, such as 127.0.0.2; may be given again, and players take
    /// turns
    #[arg(long, value_name = "ADDRESS")]
    pub from: Vec<IpAddr>,
    /// PEM file of certificates to trust besides the public ones
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Threads that the players are spread over; 0: one for each two cores
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Measure for this time, and print how memory, descriptors and disk grew
    #[arg(long, value_parser = units::time_above_zero, value_name = "TIME", conflicts_with = "measured")]
    pub soak: Option<Duration>,
    /// The server's process, if it runs here: for its CPU time, memory and descriptors
    #[arg(long)]
    pub pid: Option<u32>,
    /// The server's data directory, if it is here: for its size
    #[arg(long, value_name = "DIRECTORY")]
    pub disk: Option<PathBuf>,
}
