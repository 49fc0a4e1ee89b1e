//! Owns the attacker's process: its listener for servers that dial it, when it begins and ends, and
//! what it reports.

use std::{
    collections::BTreeMap,
    env, io,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use super::{ATTACKER, attacks};

/// What an attack has: whom it attacks, until when, and what it counts.
pub struct Stage {
    pub server: SocketAddr,
    pub until: Instant,
    /// Where the server dials an upstream.
    pub listener: TcpListener,
    pub got: Got,
}

impl Stage {
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Answers by their kind, such as `429` or `close 4029`.
#[derive(Default)]
pub struct Got(BTreeMap<String, u64>);

impl Got {
    pub fn count(&mut self, kind: impl Into<String>) {
        self.add(kind, 1);
    }

    pub fn add(&mut self, kind: impl Into<String>, number: u64) {
        *self.0.entry(kind.into()).or_default() += number;
    }
}

/// The child's main: prints its port, reads `address milliseconds`, attacks, and prints its report.
pub fn main(name: &str) -> ExitCode {
    match attack(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("attacker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn attack(name: &str) -> io::Result<()> {
    let attack = attacks::ALL.iter().find(|attack| attack.name == name);
    let attack = attack.ok_or_else(|| io::Error::other("no such attack"))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let mut order = String::new();
    io::stdin().lock().read_line(&mut order)?;
    let (server, time) = order.trim().split_once(' ').ok_or_else(|| io::Error::other("no order"))?;
    let server = server.parse().map_err(io::Error::other)?;
    let time: u64 = time.parse().map_err(io::Error::other)?;
    let until = Instant::now() + Duration::from_millis(time);
    let mut stage = Stage { server, until, listener, got: Got::default() };
    let result = (attack.run)(&mut stage);
    let mut parts: Vec<String> = stage.got.0.iter().map(|(kind, number)| format!("{kind} x{number}")).collect();
    parts.extend(result.err().map(|error| format!("ended: {error}")));
    println!("{}", parts.join(", "));
    Ok(())
}

/// The child as its parent sees it; dropping it ends it.
pub struct Attacker {
    child: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
    /// Where it listens.
    pub port: u16,
}

impl Attacker {
    /// # Errors
    /// When the process does not start.
    pub fn start(name: &str) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let command = command.args([ATTACKER, name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("an attacker without pipes"));
        };
        let mut attacker = Self { child, orders, reports: BufReader::new(reports), port: 0 };
        attacker.port = attacker.line()?.parse().map_err(io::Error::other)?;
        Ok(attacker)
    }

    /// # Errors
    /// When it has ended.
    pub fn begin(&mut self, server: SocketAddr, time: Duration) -> io::Result<()> {
        writeln!(self.orders, "{server} {}", time.as_millis())
    }

    /// Returns true if its attack is over.
    ///
    /// # Errors
    /// When the system does not know the process.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Returns the report of an attacker that has ended.
    ///
    /// # Errors
    /// When its pipe cannot be read.
    pub fn report(&mut self) -> io::Result<String> {
        self.line()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
