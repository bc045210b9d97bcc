//! The world a configuration may look at: environment variables and files. Handed in, so that loading is a function.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A file named by `${file:…}` may be this long.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Variables and files.
pub trait Env {
    /// A variable's value; `None` when it is not set.
    fn var(&self, name: &str) -> Option<String>;
    /// A file's whole text.
    fn file(&self, path: &str) -> io::Result<String>;
    /// The same to be kept: credentials are read again long after the configuration was. A world that does not last has none.
    fn kept(&self) -> Arc<dyn Env + Send + Sync> {
        Arc::new(MapEnv::default())
    }
    /// The day, `2026-11-21`, in UTC: models are turned off on a day.
    fn today(&self) -> String;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read_to_string(path)
    }

    fn kept(&self) -> Arc<dyn Env + Send + Sync> {
        Arc::new(*self)
    }

    fn today(&self) -> String {
        jiff::Timestamp::now().strftime("%F").to_string()
    }
}

/// A made-up environment.
#[derive(Debug, Clone, Default)]
pub struct MapEnv {
    /// Variables by name.
    pub vars: BTreeMap<String, String>,
    /// Texts by path.
    pub files: BTreeMap<String, String>,
    /// The day; empty lies before every day.
    pub today: String,
}

impl MapEnv {
    /// An environment with these variables and no files.
    pub fn of<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> MapEnv {
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        MapEnv {
            vars,
            ..MapEnv::default()
        }
    }
}

impl Env for MapEnv {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn kept(&self) -> Arc<dyn Env + Send + Sync> {
        Arc::new(self.clone())
    }

    fn today(&self) -> String {
        self.today.clone()
    }
}
