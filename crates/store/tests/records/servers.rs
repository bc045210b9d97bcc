//! A PostgreSQL server of a test's own: made in a temporary folder, reached by a free port and a Unix socket, ended with the test.
//!
//! `JUMPSEAT_TEST_REQUIRE_SERVERS=1` makes a missing server a failure; without it the tests that need one say that they were skipped.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::stores::Folder;

/// Whose server it is when the test runs as root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// A server.
pub struct Postgres {
    bin: PathBuf,
    folder: Folder,
    port: u16,
    child: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one; `None` when there is no program for it.
    pub fn start() -> Option<Postgres> {
        Postgres::start_with(&[])
    }

    /// The same, with files to put into its data folder first.
    pub fn start_with(files: &[(&str, &str)]) -> Option<Postgres> {
        let Some(bin) = binaries() else {
            let required = std::env::var("JUMPSEAT_TEST_REQUIRE_SERVERS").is_ok_and(|v| v == "1");
            assert!(
                !required,
                "no `postgres` in /usr/lib/postgresql/*/bin or in PATH, and servers are required"
            );
            eprintln!("SKIPPED: no `postgres` in /usr/lib/postgresql/*/bin or in PATH");
            return None;
        };
        let folder = Folder::new();
        if is_root() {
            run(Command::new("chown").arg(USER).arg(folder.path()));
        }
        let data = folder.path().join("data");
        run(as_user(&bin.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--username=postgres",
                "-D",
            ])
            .arg(&data));
        for (name, content) in files {
            let path = data.join(name);
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .unwrap();
            file.write_all(content.as_bytes()).unwrap();
            run(Command::new("chmod").arg("600").arg(&path));
            if is_root() {
                run(Command::new("chown").arg(USER).arg(&path));
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Postgres {
            bin,
            folder,
            port,
            child: None,
            databases: AtomicU32::new(0),
        };
        server.resume();
        Some(server)
    }

    /// Starts it (again) on its data.
    pub fn resume(&mut self) {
        let mut command = as_user(&self.bin.join("postgres"));
        command.arg("-D").arg(self.folder.path().join("data"));
        command
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "max_connections=60",
            "shared_buffers=16MB",
        ] {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        loop {
            let ready = Command::new(self.bin.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.unwrap().success() {
                return;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the server does not answer: {log}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ends it at once, as a crash would (SIGQUIT), or gracefully (SIGINT).
    pub fn stop(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            self.signal_pid(child.id(), signal);
            let _ = child.wait();
        }
    }

    /// Sends a signal to it and to what it has started.
    pub fn signal_all(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id();
        let of_postmaster = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &pid.to_string()])
            .output()
            .unwrap();
        for child in String::from_utf8_lossy(&of_postmaster.stdout).split_whitespace() {
            self.signal_pid(child.parse().unwrap(), signal);
        }
        self.signal_pid(pid, signal);
    }

    fn signal_pid(&self, pid: u32, signal: &str) {
        let _ = Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status();
    }

    /// Lets in whom a file of its data folder says, from now on.
    pub fn use_hba(&mut self, file: &str) {
        let data = self.folder.path().join("data");
        std::fs::rename(data.join(file), data.join("pg_hba.conf")).unwrap();
        self.stop("INT");
        self.resume();
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run(Command::new(self.bin.join("createdb"))
            .args(self.address())
            .args(["-T", "template0", &name]));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!(
            "postgres://postgres:hunter2@127.0.0.1:{}/{name}?sslmode=disable",
            self.port
        )
    }

    /// Feeds SQL to a database, as its own tool does.
    pub fn load(&self, url: &str, sql: &Path) {
        run(Command::new(self.bin.join("psql"))
            .args(["-q", "-v", "ON_ERROR_STOP=1", url, "-f"])
            .arg(sql));
    }

    /// Everything in a database as its own tool writes it.
    pub fn dump(&self, url: &str) -> String {
        let dump = Command::new(self.bin.join("pg_dump"))
            .args(["--inserts", "--no-owner", url])
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        String::from_utf8(dump.stdout).unwrap()
    }

    /// Its port on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn address(&self) -> [String; 6] {
        ["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"].map(str::to_owned)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop("QUIT");
    }
}

fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions.filter_map(|v| Some(v.ok()?.path().join("bin"))).collect();
    found.sort();
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let all = found.into_iter().rev().chain(std::env::split_paths(&in_path));
    all.into_iter().find(|bin| {
        ["postgres", "initdb", "pg_isready", "createdb"]
            .iter()
            .all(|p| bin.join(p).exists())
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// A command as the server's user, which ends when the test does however that ends.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "QUIT"]).arg(program);
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
