//! `admin:` the second listener: metrics, health in detail, and whatever callers must not reach.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::listen::{self, Auth};
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;

/// The listener of operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    #[serde(with = "listen::address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// `none` says that it needs no credential. It must be written to listen on another address than loopback.
    pub auth: Option<Auth>,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            listen: SocketAddr::from(([127, 0, 0, 1], 4001)),
            auth: None,
        }
    }
}

impl Admin {
    /// Judges the section's values.
    pub(super) fn validate(&self, server: SocketAddr, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("admin");
        errors.extend(listen::judge(self.listen, self.auth, &place, root));
        if self.listen == server && server.port() != 0 {
            errors.push(root.notice(&place.key("listen"), format!("`{server}` is `server.listen` already")));
        }
    }
}
