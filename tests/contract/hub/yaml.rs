//! Owns a server whose hubs a config.yaml describes.

use std::{
    io::Write as _,
    ops::{Deref, DerefMut},
};

use tempfile::NamedTempFile;

use crate::support::Server;

/// A server and its configuration file, which goes with it.
pub struct HubServer {
    server: Server,
    _file: NamedTempFile,
}

/// Starts a server with this config.yaml and these settings.
pub fn start(yaml: &str, settings: &[(&str, &str)]) -> HubServer {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    file.write_all(yaml.as_bytes()).expect("write");
    let path = file.path().to_str().expect("a path in UTF-8").to_owned();
    let server = Server::start(&[&[("CONFIG_FILE", &*path)], settings].concat());
    HubServer { server, _file: file }
}

impl DerefMut for HubServer {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Deref for HubServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
