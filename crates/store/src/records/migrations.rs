//! The versions of the schema: numbered, the same numbers on both backends, each with its SQL per backend.
//!
//! A version that was released is never edited: its checksum is recorded where it was applied, and one that differs is refused.
//! Who applies them takes a lock first and reads the version under it, so that instances starting at once do it once.

use ring::digest::{SHA256, digest};

use crate::error::StoreError;

/// One version.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    /// What it is about, one word.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
        }
    };
}

/// All versions, ascending.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "records", "0001_records.sql"),
    migration!(2, "retention", "0002_retention.sql"),
];

/// The newest version this program knows.
pub fn newest() -> u32 {
    MIGRATIONS.last().map_or(0, |m| m.version)
}

/// SHA-256 of a migration's SQL, in hexadecimal digits.
pub fn checksum(sql: &str) -> String {
    hexadecimal(digest(&SHA256, sql.as_bytes()).as_ref())
}

/// A version that a store says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub version: u32,
    /// Of the SQL that was applied.
    pub checksum: String,
}

/// What is still to be applied, in order, given what was.
pub fn pending(applied: &[Applied], sql: fn(&Migration) -> &'static str) -> Result<&'static [Migration], StoreError> {
    let found = applied.iter().map(|a| a.version).max().unwrap_or(0);
    if found > newest() {
        return Err(StoreError::Newer { found, known: newest() });
    }
    for migration in MIGRATIONS.iter().take_while(|m| m.version <= found) {
        let Some(there) = applied.iter().find(|a| a.version == migration.version) else {
            let message = format!("the store lacks schema version {} but has {found}", migration.version);
            return Err(StoreError::Invalid(message));
        };
        if there.checksum != checksum(sql(migration)) {
            let message = format!(
                "schema version {} of the store was made by other SQL than this program's: it was edited, or is another program's",
                migration.version
            );
            return Err(StoreError::Invalid(message));
        }
    }
    let from = MIGRATIONS.partition_point(|m| m.version <= found);
    Ok(&MIGRATIONS[from..])
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(upto: u32) -> Vec<Applied> {
        let known = MIGRATIONS.iter().filter(|m| m.version <= upto);
        let applied = |m: &Migration| Applied {
            version: m.version,
            checksum: checksum(m.sqlite),
        };
        known.map(applied).collect()
    }

    #[test]
    fn versions_are_numbered_from_one_without_gaps_and_every_file_is_one_of_both_backends() {
        let numbers: Vec<u32> = MIGRATIONS.iter().map(|m| m.version).collect();
        assert_eq!(numbers, (1..=newest()).collect::<Vec<_>>());
        for backend in ["sqlite", "postgres"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(backend);
            let files = std::fs::read_dir(folder).unwrap();
            let mut names: Vec<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            let known: Vec<String> = MIGRATIONS
                .iter()
                .map(|m| format!("{:04}_{}.sql", m.version, m.name))
                .collect();
            assert_eq!(names, known, "{backend}");
        }
    }

    #[test]
    fn what_is_pending_is_what_comes_after_what_was_applied() {
        for upto in 0..=newest() {
            let left: Vec<u32> = pending(&applied(upto), |m| m.sqlite)
                .unwrap()
                .iter()
                .map(|m| m.version)
                .collect();
            assert_eq!(left, (upto + 1..=newest()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_newer_store_an_edited_version_and_a_gap_are_refused() {
        let mut newer = applied(newest());
        newer.push(Applied {
            version: newest() + 1,
            checksum: String::new(),
        });
        let refused = pending(&newer, |m| m.sqlite).unwrap_err();
        assert_eq!(
            refused,
            StoreError::Newer {
                found: newest() + 1,
                known: newest()
            }
        );

        let mut edited = applied(newest());
        edited[0].checksum.push('0');
        assert!(
            pending(&edited, |m| m.sqlite)
                .unwrap_err()
                .to_string()
                .contains("other SQL")
        );
        let gap = &applied(newest())[1..];
        assert!(
            pending(gap, |m| m.sqlite)
                .unwrap_err()
                .to_string()
                .contains("lacks schema version 1")
        );
    }
}
