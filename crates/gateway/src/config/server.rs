//! `server:` the listener that callers talk to, and its limits.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::listen::{self, Auth};
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::prompt::ResponseMetadata;
use crate::config::units::{DurationText, SizeText, duration, size};

/// The listener that callers talk to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    #[serde(with = "listen::address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// `none` says that callers need no key, also where there are keys. To listen on another address than loopback there must be
    /// keys, or this.
    pub auth: Option<Auth>,
    /// How long calls in flight may go on after SIGTERM.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub shutdown_grace: Duration,
    /// Bodies larger than this are refused with 413.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub body_max: u64,
    /// All request headers together; more is refused with 431.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub header_max: u64,
    /// Bodies of all calls in flight together; beyond it new calls are refused with 503.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub bodies_in_flight_max: u64,
    /// Responses that callers may go on from by `previous_response_id`, kept in memory up to this size, the oldest forgotten
    /// first. 0 keeps none.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub stored_responses_max: u64,
    /// A caller must have sent its headers within this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub header_timeout: Duration,
    /// A connection without a call is closed after this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub idle_timeout: Duration,
    /// A body must arrive at least this fast, in bytes a second over 10 seconds; slower is refused with 408.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub body_min_rate: u64,
    /// Send headers and comments on a stream before its commit, for load balancers that cut silent connections. Failures then
    /// arrive as error events.
    pub early_headers: bool,
    /// Where answers tell who served them: `headers`, or `body` as well, as an object `jumpseat`.
    pub response_metadata: ResponseMetadata,
    /// Worker threads; one a core when left out.
    pub workers: Option<usize>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            auth: None,
            shutdown_grace: Duration::from_secs(30),
            body_max: 32 << 20,
            header_max: 32 << 10,
            bodies_in_flight_max: 1 << 30,
            stored_responses_max: 64 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_min_rate: 1 << 10,
            early_headers: false,
            response_metadata: ResponseMetadata::Headers,
            workers: None,
        }
    }
}

impl Server {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("server");
        let mut wrong = |key: &str, message: &str| errors.push(root.notice(&place.key(key), message));
        if self.body_max == 0 {
            wrong("body_max", "must be more than 0");
        }
        if self.header_max < 1024 {
            wrong("header_max", "must be at least 1KB");
        }
        if self.bodies_in_flight_max < self.body_max {
            wrong(
                "bodies_in_flight_max",
                "must be at least `body_max`, or the largest body could never be served",
            );
        }
        if self.header_timeout.is_zero() {
            wrong("header_timeout", "must be more than 0");
        }
        if self.idle_timeout.is_zero() {
            wrong("idle_timeout", "must be more than 0");
        }
        if self.workers == Some(0) {
            wrong("workers", "must be at least 1");
        }
    }
}
