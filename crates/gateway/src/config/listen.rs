//! Where a listener listens, and that it is not opened to a network without a word.

use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::server::Server;

/// What callers must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Nothing.
    None,
}

/// Serde of an address: `127.0.0.1:4000`, `localhost:4000`, `[::1]:4000`, `0.0.0.0:4000`, or a port alone (loopback).
pub mod address {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    use super::*;

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        deserializer.deserialize_str(Text)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    struct Text;

    impl Visitor<'_> for Text {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address such as \"127.0.0.1:4000\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SocketAddr, E> {
            parse(text).ok_or_else(|| E::custom(format!("`{text}` is no address: write it like \"127.0.0.1:4000\"")))
        }
    }
}

/// Reads an address; a port alone or `localhost` is loopback.
pub fn parse(text: &str) -> Option<SocketAddr> {
    let loopback = |port: &str| {
        port.parse()
            .ok()
            .map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)))
    };
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => loopback(text.strip_prefix("localhost:").unwrap_or(text)),
    }
}

/// Why a gateway with these settings and so many keys must not start: whoever reaches it could call, and nobody has said so.
pub fn refuse_open(server: &Server, keys: usize) -> Result<(), String> {
    if !needs_keys(server) || keys > 0 {
        return Ok(());
    }
    Err(format!(
        "`server.listen` is `{}`, which is not loopback, and there are no keys: make the first one with `jumpseat keys create \
         --name app` (it works while the gateway is down), or write `auth: none` beside it if everybody who reaches it may call",
        server.listen
    ))
}

/// Whether a gateway with these settings starts only when there are keys, which a configuration alone cannot tell.
pub fn needs_keys(server: &Server) -> bool {
    !server.listen.ip().is_loopback() && server.auth.is_none()
}
