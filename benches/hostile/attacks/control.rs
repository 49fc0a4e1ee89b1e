//! Owns the controls: what the machine does to the neighbours while the server is left alone.

use std::{
    io,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use super::super::{
    attacker::Stage,
    peer::{paced, text},
};

/// # Errors
/// None.
pub fn nothing(stage: &mut Stage) -> io::Result<()> {
    paced(stage.until, 1.0, || {});
    Ok(())
}

/// What ten connections send at most, each 256 KiB a second in frames of 60 KiB, but to a thread
/// that reads.
///
/// # Errors
/// When this machine has no connection to itself.
pub fn frames(stage: &mut Stage) -> io::Result<()> {
    let mut sender = TcpStream::connect(stage.listener.local_addr()?)?;
    let (mut reader, _) = stage.listener.accept()?;
    thread::spawn(move || {
        let mut chunk = [0; 65536];
        while reader.read(&mut chunk).is_ok_and(|read| read > 0) {}
    });
    let frame = text(&"x".repeat(60_000));
    let mut result = Ok(());
    let mut sent = 0;
    paced(stage.until, 43.0, || {
        if result.is_ok() {
            result = sender.write_all(&frame);
            sent += 1;
        }
    });
    stage.got.add("frames", sent);
    result
}
