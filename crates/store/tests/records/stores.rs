//! Stores for tests, each empty and gone when its test is over.

use std::path::{Path, PathBuf};

use jumpseat_store::records::Records;

/// A folder of its own.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("jumpseat-store-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The URL of a SQLite file in a folder.
pub fn sqlite_in(folder: &Folder) -> String {
    format!("sqlite:{}", folder.path().join("records.db").display())
}

pub async fn sqlite_file() -> (Records, Folder) {
    let folder = Folder::new();
    (Records::open(&sqlite_in(&folder)).await.unwrap(), folder)
}

pub async fn sqlite_memory() -> Records {
    Records::open("sqlite::memory:").await.unwrap()
}
