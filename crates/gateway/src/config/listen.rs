//! Where a listener listens, and that it is not opened to a network without a word.

use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;

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

/// This version has no keys for callers yet, so that being open to a network must be said.
pub(super) fn judge(listen: SocketAddr, auth: Option<Auth>, section: &Place, root: &Node) -> Option<Notice> {
    let open = !listen.ip().is_loopback() && auth.is_none();
    open.then(|| {
        root.notice(
            &section.key("listen"),
            format!("`{listen}` is not loopback, and whoever reaches it needs no key"),
        )
        .with_help("write `auth: none` beside it if that is meant")
    })
}
