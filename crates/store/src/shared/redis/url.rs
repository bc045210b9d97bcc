//! Where the Redis is: `redis://[user:password@]host[:port][/database]`, or `rediss://` by TLS, with our own settings behind a `?`.
//!
//! `ca=path` trusts a private authority's certificate (PEM) instead of the public ones; `prefix=name` lets two installations share
//! one Redis. What is shown of an address has no user and no password.

use redis::{Client, TlsCertificates};

use crate::error::StoreError;

/// A server and how to speak to it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) client: Client,
    /// Every key begins with it. It is one hash tag, so that a cluster keeps all keys on one node.
    pub(crate) prefix: String,
    /// Without user and password.
    pub(crate) shown: String,
    /// Buckets go by the time that callers give instead of the server's: only tests can make that up.
    pub(crate) callers_clock: bool,
}

impl Address {
    /// Reads a URL and the files it names.
    pub(crate) fn parse(url: &str) -> Result<Address, StoreError> {
        let (server, settings) = url.split_once('?').unwrap_or((url, ""));
        let shown = shown(server);
        let wrong = |why: String| StoreError::Url {
            url: shown.clone(),
            why,
        };
        if !server.starts_with("redis://") && !server.starts_with("rediss://") {
            return Err(wrong("write `redis://host:6379` or `rediss://host:6379`".to_owned()));
        }
        if server.contains('#') {
            return Err(wrong("write `#` in a password as `%23`".to_owned()));
        }
        let (mut root_cert, mut prefix, mut callers_clock) = (None, "jumpseat".to_owned(), false);
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                Some(("ca", path)) => {
                    let pem = std::fs::read(path).map_err(|e| wrong(format!("`ca={path}` cannot be read: {e}")))?;
                    root_cert = Some(pem);
                }
                Some(("prefix", name)) if is_name(name) => prefix = name.to_owned(),
                Some(("prefix", _)) => {
                    return Err(wrong("`prefix` takes letters, digits, `-`, `_` and `.`".to_owned()));
                }
                Some(("clock", "caller")) => callers_clock = true,
                Some(_) | None => {
                    let name = setting.split('=').next().unwrap_or_default();
                    return Err(wrong(format!(
                        "it knows no setting `{name}`: there are `ca` and `prefix`"
                    )));
                }
            }
        }
        if root_cert.is_some() && !server.starts_with("rediss://") {
            return Err(wrong("`ca` is for `rediss://`".to_owned()));
        }
        if server.starts_with("rediss://") {
            // Somebody may have chosen already; it is the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = match root_cert {
            Some(pem) => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                };
                Client::build_with_tls(server, certificates)
            }
            None => Client::open(server),
        };
        // The library's message may quote what was written, a password too; its kind does not.
        let client = client.map_err(|e| {
            wrong(format!(
                "write `redis://[user:password@]host[:port][/database]` ({})",
                e.category()
            ))
        })?;
        Ok(Address {
            client,
            prefix: format!("{{{prefix}}}"),
            shown,
            callers_clock,
        })
    }
}

fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(fits)
}

fn shown(server: &str) -> String {
    match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (Some(_), None) => server.to_owned(),
        (None, _) => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_never_shows_a_password() {
        let address = Address::parse("redis://user:p%40ss@cache.internal:7000/3?prefix=stage").unwrap();
        assert_eq!(
            (&*address.shown, &*address.prefix),
            ("redis://cache.internal:7000/3", "{stage}")
        );
        let info = address.client.get_connection_info();
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 3);
        for (url, word) in [
            ("redis://:secret@host/x", "database"),
            ("redis://:secret@host?timeout=1", "`timeout`"),
            ("redis://:secret@host?ca=/x", "cannot be read"),
            ("redis://:secret@host?prefix={a}", "letters"),
            ("redis://:sec#ret@host", "%23"),
            ("http://:secret@host", "redis://"),
        ] {
            let message = Address::parse(url).unwrap_err().to_string();
            assert!(message.contains(word) && !message.contains("ret"), "{url}: {message}");
        }
    }
}
