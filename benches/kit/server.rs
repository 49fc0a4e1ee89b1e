//! Owns one server process under measurement: its settings, its end, and its CPU, memory and disk
//! as the system counts them.

use std::{
    fs, io,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to listen; it may have much to read first.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The real binary; dropping it is `kill -9`.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// When the process was started.
    pub started: Instant,
    /// Lines that it has logged so far.
    pub log_lines: Arc<AtomicU64>,
}

/// CPU seconds since the start, in user and system mode.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub process: f64,
    /// Of that, the thread that writes the store.
    pub journal: f64,
}

impl Server {
    /// Starts it with these settings over open limits, and waits until it listens.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        // No client is refused, pinged or removed during a measurement.
        const OPEN: &[(&str, &str)] = &[
            ("MAX_CONNECTIONS_PER_IP", "100000"),
            ("MAX_ROOMS", "100000000"),
            ("MAX_ROOMS_PER_ADDRESS", "100000000"),
            ("MAX_WS_CONNECTIONS", "100000"),
            ("RATE_LIMIT_MAX_REQUESTS", "10000000"),
            ("MESSAGE_RATE", "1000000"),
            ("BYTE_RATE", "1024m"),
            ("BYTE_BURST", "1024m"),
            ("MESSAGE_BURST", "1000000"),
            ("WS_PING_INTERVAL", "3600"),
            ("RECONNECT_GRACE", "3600"),
            ("ROOM_LINGER", "3600"),
        ];
        let settings: Vec<_> = OPEN.iter().chain(settings).copied().collect();
        Self::start_with_defaults(&settings)
    }

    /// Starts it with these settings and the defaults of all others, and waits until it listens.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start_with_defaults(settings: &[(&str, &str)]) -> io::Result<Self> {
        const SETTINGS: &[(&str, &str)] =
            &[("HOST", "127.0.0.1"), ("PORT", "0"), ("CONFIG_FILE", ""), ("LOG_FORMAT", "json")];
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_innkeeper"))
            .env_clear()
            .envs(SETTINGS.iter().copied())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let log = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        let (found, port) = mpsc::channel();
        let log_lines = Arc::new(AtomicU64::new(0));
        let lines = log_lines.clone();
        // Reads on to the end: a full pipe would stop the server.
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                lines.fetch_add(1, Ordering::Relaxed);
                if let Some(port) = listening_port(&line) {
                    let _ = found.send(port);
                }
                if line.contains(r#""level":"error""#) {
                    eprintln!("server: {line}");
                }
            }
        });
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), started, log_lines };
        let port = port.recv_timeout(START_TIMEOUT).map_err(|_| io::Error::other("the server does not listen"))?;
        server.address.set_port(port);
        Ok(server)
    }

    /// # Errors
    /// Where there is no `/proc`, or the server has died.
    pub fn cpu(&self) -> io::Result<Cpu> {
        let mut cpu = Cpu { process: cpu_seconds(format!("/proc/{}/stat", self.child.id()))?, journal: 0.0 };
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            // A thread may end between the listing and the reading.
            let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
            if name.trim() == "journal" {
                cpu.journal += cpu_seconds(task.join("stat"))?;
            }
        }
        Ok(cpu)
    }

    /// `VmRSS` in bytes.
    ///
    /// # Errors
    /// Where there is no `/proc`, or the server has died.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmRSS:")
    }

    /// `VmHWM` in bytes: the most that was ever resident.
    ///
    /// # Errors
    /// Where there is no `/proc`, or the server has died.
    pub fn peak_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        let kibibytes: Option<u64> = kibibytes.and_then(|text| text.parse().ok());
        kibibytes.map(|size| size * 1024).ok_or_else(|| io::Error::other(format!("no {field}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds of this process, the load generator.
///
/// # Errors
/// Where there is no `/proc`.
pub fn own_cpu() -> io::Result<f64> {
    cpu_seconds("/proc/self/stat")
}

/// What the files below a directory occupy on the disk.
pub fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        #[cfg(unix)]
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        #[cfg(not(unix))]
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// `utime` and `stime` of proc(5), in ticks of which Linux shows a hundred a second.
fn cpu_seconds(stat: impl AsRef<Path>) -> io::Result<f64> {
    let stat = fs::read_to_string(stat)?;
    // The name before may contain blanks; the fields count from the bracket behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

fn listening_port(line: &str) -> Option<u16> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let port = line.get("port").filter(|_| line["message"] == "listening")?;
    u16::try_from(port.as_u64()?).ok()
}
