//! The admin token that is made at the first start, where the configuration names none: a file that its owner alone can read.
//!
//! The command line finds it by the same configuration, so that `jumpseat keys create` works on the machine without a word.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::config::Config;
use crate::keys::text;

/// Its name.
const NAME: &str = "admin.token";

/// Where it is: beside a database that is a file, else in the working folder; nowhere for a store in memory.
pub fn path(config: &Config) -> Option<PathBuf> {
    match config.store.url.strip_prefix("sqlite:") {
        Some(":memory:") => None,
        Some(path) => {
            let path = Path::new(path.trim_start_matches("//").split('?').next().unwrap_or_default());
            Some(path.with_file_name(NAME))
        }
        None => Some(PathBuf::from(NAME)),
    }
}

/// The token in the file, if there is one.
pub fn read(path: &Path) -> io::Result<Option<SecretString>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim()).filter(|t| !t.is_empty()).map(SecretString::from)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The token of this gateway: that of the file, which is made when it is not there. `None` where the configuration names tokens,
/// or there is no place for a file.
pub fn open(config: &Config) -> anyhow::Result<Option<SecretString>> {
    let Some(path) = path(config).filter(|_| config.admin.tokens.is_empty()) else {
        return Ok(None);
    };
    let failed = || format!("failed to read the admin token in {}", path.display());
    if let Some(token) = read(&path).with_context(failed)? {
        let mode = fs::metadata(&path).with_context(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            warn!(
                "The admin token in {} can be read by others: `chmod 600` it",
                path.display()
            );
        }
        return Ok(Some(token));
    }
    let token = text::draw_admin_token()?;
    make(&path, &token).with_context(|| format!("failed to write the admin token {}", path.display()))?;
    info!("An admin token was made: it is in {}", path.display());
    Ok(Some(token))
}

fn make(path: &Path, token: &SecretString) -> io::Result<()> {
    // One that is there and empty is taken over, whoever may read it; a new one is its owner's alone from the first moment.
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            OpenOptions::new().write(true).truncate(true).open(path)?
        }
        Err(error) => return Err(error),
    };
    writeln!(file, "{}", token.expose_secret())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("jumpseat-token-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite:{}", folder.join("j.db").display());
        let first = open(&config).unwrap().unwrap();
        let path = path(&config).unwrap();
        assert_eq!(path, folder.join("admin.token"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&config).unwrap().unwrap().expose_secret(), first.expose_secret());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn it_is_beside_the_database_or_in_the_working_folder() {
        let at = |url: &str| {
            let mut config = Config::default();
            config.store.url = url.into();
            path(&config).map(|path| path.display().to_string())
        };
        assert_eq!(at("sqlite:jumpseat.db").as_deref(), Some("admin.token"));
        assert_eq!(at("sqlite:/var/lib/j/j.db").as_deref(), Some("/var/lib/j/admin.token"));
        assert_eq!(at("sqlite:data/j.db?mode=rw").as_deref(), Some("data/admin.token"));
        assert_eq!(at("postgres://h/db").as_deref(), Some("admin.token"));
        assert_eq!(at("sqlite::memory:"), None);
    }
}
