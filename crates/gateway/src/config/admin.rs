//! `admin:` the second listener: metrics, health in detail, and whatever callers must not reach.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::entries::Entries;
use crate::config::listen::{self, Auth};
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::secret::Secret;

/// What can be guessed is no token.
const TOKEN_LEN_MIN: usize = 16;

/// The listener of operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    #[serde(with = "listen::address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// `none` says that its metrics and states need no credential where there are no `tokens`; the admin API needs one always. It
    /// must be written to listen on another address than loopback without `tokens`.
    pub auth: Option<Auth>,
    /// Who may use it, by name; the audit log tells of them by these. Without any, a token of role `admin` is made at the start
    /// and kept in the file `admin.token` beside the database.
    pub tokens: Entries<Token>,
}

/// A credential of the admin listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The token itself, at least 16 letters: `${NAME}` or `${file:…}`, never written here.
    pub token: Secret,
    /// What it may.
    pub role: Role,
}

/// What a token may. The order is from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See metrics, states, calls and the configuration without its secrets.
    Viewer,
    /// Also change what runs, but not keys.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            listen: SocketAddr::from(([127, 0, 0, 1], 4001)),
            auth: None,
            tokens: Entries::default(),
        }
    }
}

impl Admin {
    /// Judges the section's values.
    pub(super) fn validate(&self, server: SocketAddr, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("admin");
        let open = !self.listen.ip().is_loopback() && self.auth.is_none() && self.tokens.is_empty();
        if open {
            let message = format!(
                "`{}` is not loopback, and whoever reaches it needs no token",
                self.listen
            );
            let help = "name who may use it in `tokens`, or write `auth: none` beside it if that is meant";
            errors.push(root.notice(&place.key("listen"), message).with_help(help));
        }
        for (name, token) in self.tokens.iter() {
            if token.token.expose().len() < TOKEN_LEN_MIN {
                let place = place.key("tokens").key(name).key("token");
                let message = format!("is too short: write at least {TOKEN_LEN_MIN} letters of chance");
                errors.push(root.notice(&place, message));
            }
        }
        if self.listen == server && server.port() != 0 {
            errors.push(root.notice(&place.key("listen"), format!("`{server}` is `server.listen` already")));
        }
    }
}
