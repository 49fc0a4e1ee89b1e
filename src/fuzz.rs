//! Owns what the fuzzers in fuzz/ call: each function takes any bytes and must return. The tests
//! replay the corpus of each.

use std::{collections::HashMap, ops::ControlFlow};

use bytestring::ByteString;

use crate::{
    config::{Config, Overrides},
    protocol::{ClientFrame, Dialect},
    ws::decoder::Decoder,
};
pub use crate::{
    http::fuzz::upgrade,
    hub::fuzz::{bus, upstream},
    room::fuzz::{document, records},
    store::fuzz::groups,
};

/// Client bytes behind the handshake. The first byte is the length of each read.
pub fn decoder(data: &[u8]) {
    const MAX: usize = 64 * 1024;
    let Some((read_bytes, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::new(MAX);
    for read in rest.chunks(usize::from(*read_bytes).max(1)) {
        let mut out = |_, payload_bytes: usize| {
            assert!(payload_bytes <= MAX);
            ControlFlow::Continue(())
        };
        if decoder.feed(&mut read.to_vec(), &mut out).is_err() {
            break;
        }
    }
}

/// One text frame of a client, as each kind of connection parses it.
pub fn client_frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = ByteString::from(text);
    for dialect in [Dialect::Game, Dialect::Hub, Dialect::Proxy] {
        let _ = ClientFrame::parse(&text, dialect);
    }
}

/// A config.yaml, with descriptions of hubs and proxies.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let variables = HashMap::from([("A_KEY", "a"), ("DURABILITY", "memory")]);
    if let Err(problems) = Config::from_source(&variables, Some(text), Overrides::default()) {
        assert!(!problems.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fuzzer = fn(&[u8]);

    #[test]
    fn nothing_in_the_corpus_of_a_fuzzer_ends_in_a_panic() {
        let fuzzers: &[(&str, Fuzzer)] = &[
            ("bus", bus),
            ("client_frame", client_frame),
            ("decoder", decoder),
            ("document", document),
            ("groups", groups),
            ("records", records),
            ("settings", settings),
            ("upgrade", upgrade),
            ("upstream", upstream),
        ];
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, fuzzer) in fuzzers {
            let files: Vec<_> =
                std::fs::read_dir(corpus.join(name)).expect("its corpus").map_while(Result::ok).collect();
            assert!(!files.is_empty(), "{name} has no corpus");
            for file in files {
                fuzzer(&std::fs::read(file.path()).expect("a file"));
            }
        }
    }
}
