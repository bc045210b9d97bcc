//! The URL of a store of records: what kind, and how it may be shown.

use crate::error::StoreError;

/// Where records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file, or `:memory:`.
    Sqlite(String),
    /// The URL as PostgreSQL's own tools take it.
    Postgres(String),
}

impl Address {
    /// Reads `sqlite:path`, `sqlite::memory:` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Address, StoreError> {
        let refused = |why: &str| StoreError::Url {
            url: shown(url),
            why: why.to_owned(),
        };
        if let Some(path) = url.strip_prefix("sqlite:") {
            // `sqlite:///var/lib/x.db` is how other programs write an absolute path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(refused("it names no file: write `sqlite:jumpseat.db`"));
            }
            return Ok(Address::Sqlite(path.to_owned()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Address::Postgres(url.to_owned()));
        }
        Err(refused(
            "write `sqlite:path`, `sqlite::memory:` or `postgres://user:password@host/database`",
        ))
    }
}

/// A URL without its user, its password and its query: fit for logs and for people.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `sqlite:path` has no secret; anything else may be one whole.
        return if url.starts_with("sqlite:") {
            url.to_owned()
        } else {
            "…".to_owned()
        };
    };
    let rest = rest.split(['?', '#']).next().unwrap_or("");
    // A password may hold an unescaped slash or at sign: everything up to the last at sign may be one.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_password_and_query() {
        for (url, expected) in [
            ("sqlite:jumpseat.db", "sqlite:jumpseat.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://host/db", "postgres://host/db"),
            (
                "postgres://me:secret@host:5432/db?sslmode=require",
                "postgres://host:5432/db",
            ),
            ("postgres://me:se/cr@et@host/db", "postgres://host/db"),
            ("postgres:///db?password=secret", "postgres:///db"),
            ("redis://:secret@host/0", "redis://host/0"),
            ("secret", "…"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_names_no_store_is_refused_with_what_was_meant() {
        assert_eq!(
            Address::parse("sqlite:a.db").unwrap(),
            Address::Sqlite("a.db".to_owned())
        );
        assert_eq!(
            Address::parse("sqlite:///a.db").unwrap(),
            Address::Sqlite("/a.db".to_owned())
        );
        for url in ["", "mysql://me:secret@host/db", "jumpseat.db", "sqlite:"] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(refused.contains("write `sqlite:"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
