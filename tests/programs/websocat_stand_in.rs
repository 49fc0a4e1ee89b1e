//! Owns a stand-in for websocat 1.x, which the documents use: the options of its help, read as it
//! reads them, and no others.
//!
//! It does what the documents need: lines of stdin go out, frames come to stdout, and the end of
//! stdin closes.

#![allow(clippy::print_stdout)] // It is a command.

use std::{
    io::{self, BufRead as _, Write as _},
    net::TcpStream,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use tungstenite::{
    Error, Message,
    client::IntoClientRequest as _,
    http::{HeaderName, HeaderValue},
};

/// Flags of `websocat --help` that change nothing of what is shown here.
const FLAGS: &[&str] = &[
    "-t",
    "--text",
    "-E",
    "--exit-on-eof",
    "-q",
    "-v",
    "-vv",
    "-n",
    "--no-close",
    "-k",
    "--insecure",
    "-u",
    "-U",
    "--unidirectional",
    "--unidirectional-reverse",
    "-1",
    "--one-message",
    "--no-line",
    "--linemode-strip-newlines",
];

/// Options with one value, as the next argument or behind `=`.
const VALUES: &[&str] =
    &["--protocol", "--origin", "--ping-interval", "--ping-timeout", "-B", "--buffer-size", "--basic-auth"];

/// Takes every argument up to the next option, as clap 2 does for websocat: a URL behind it is a
/// header.
const GREEDY: &[&str] = &["-H", "--header"];

#[derive(Default)]
struct Arguments {
    url: Option<String>,
    headers: Vec<String>,
    protocol: Option<String>,
    origin: Option<String>,
}

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|arguments| talk(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("websocat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut read = Arguments::default();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if word.starts_with('-') => (name.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        if FLAGS.contains(&&*name) && value.is_none() {
        } else if GREEDY.contains(&&*name) {
            match value {
                Some(value) => read.headers.push(value),
                None => {
                    while let Some(value) = words.next_if(|next| !next.starts_with('-')) {
                        read.headers.push(value);
                    }
                }
            }
        } else if VALUES.contains(&&*name) {
            let value = value.or_else(|| words.next()).ok_or(format!("{name} needs a value"))?;
            match &*name {
                "--protocol" => read.protocol = Some(value),
                "--origin" => read.origin = Some(value),
                _ => {}
            }
        } else if word.starts_with('-') && word != "-" {
            return Err(format!("Found argument '{word}' which wasn't expected"));
        } else if read.url.replace(word).is_some() {
            return Err("more than one address; the documents need one".to_owned());
        }
    }
    match &read.url {
        Some(url) if url.starts_with("ws://") => Ok(read),
        Some(url) => Err(format!("{url} is no ws:// URL, which is all that the stand-in knows")),
        None => Err("No URL specified".to_owned()),
    }
}

fn talk(arguments: &Arguments) -> Result<(), String> {
    let url = arguments.url.as_deref().unwrap_or_default();
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        request.headers_mut().append(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
        Ok::<_, String>(())
    };
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or(format!("a header without a colon: {header}"))?;
        add(name.trim(), value.trim())?;
    }
    for (name, value) in [("Sec-WebSocket-Protocol", &arguments.protocol), ("Origin", &arguments.origin)] {
        value.as_ref().map_or(Ok(()), |value| add(name, value))?;
    }
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let stream = TcpStream::connect(&host).map_err(|error| format!("{host}: {error}"))?;
    let (mut socket, _) = tungstenite::client(request, stream).map_err(|error| format!("{url}: {error}"))?;
    // Between a look at the socket and one at stdin.
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).map_err(|error| error.to_string())?;

    let (sender, lines) = mpsc::channel();
    thread::spawn(move || io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut is_open = true;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                println!("{text}");
                let _ = io::stdout().flush();
            }
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                // As for websocat, a close that somebody else began is an end like any other; the
                // log of the test names it.
                eprintln!("websocat: closed with {code}");
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
            Err(Error::Io(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(Error::Io(_) | Error::Protocol(_)) if !is_open => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        while is_open {
            match lines.try_recv() {
                Ok(line) => socket.send(Message::text(line)).map_err(|error| error.to_string())?,
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    is_open = false;
                    let _ = socket.close(None);
                }
            }
        }
    }
}
