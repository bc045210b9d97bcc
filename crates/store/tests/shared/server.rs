//! A Redis of one's own, on a free port, ended with the test.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server.
pub struct Server {
    child: Option<Child>,
    args: Vec<String>,
    pub port: u16,
    pub dir: PathBuf,
}

impl Server {
    /// Starts one; `None`, and said so, where there is none to start.
    pub fn start(args: &[&str]) -> Option<Server> {
        if Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            assert!(
                std::env::var_os("JUMPSEAT_TEST_REQUIRE_SERVERS").is_none(),
                "there is no redis-server, and JUMPSEAT_TEST_REQUIRE_SERVERS asks for one"
            );
            eprintln!("SKIPPED: there is no redis-server");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("jumpseat-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut server = Server {
            child: None,
            args: args
                .iter()
                .map(|arg| arg.replace("DIR", dir.to_str().unwrap()))
                .collect(),
            port: free_port(),
            dir,
        };
        server.run();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again on its port, with what lies in its folder.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        // A port of TLS takes the place of the plain one.
        match self.args.iter().any(|arg| arg == "--tls-port") {
            true => command.args(["--port", "0", "--tls-port", &self.port.to_string()]),
            false => command.args(["--port", &self.port.to_string()]),
        };
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir", self.dir.to_str().unwrap()]);
        command.args(self.args.iter().filter(|arg| *arg != "--tls-port"));
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Says something to it by a plain connection.
    pub async fn tell(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(words[0])
            .arg(&words[1..])
            .query_async(&mut connection)
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
