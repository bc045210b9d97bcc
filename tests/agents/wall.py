"""A proxy that refuses everything and remembers what was asked for: programs behind it reach loopback alone."""

import socketserver
import threading


class Refusal(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        words = self.rfile.readline(4096).decode("latin-1").split()
        if len(words) > 1:
            self.server.asked.add(words[1].split("?")[0])
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


class Wall:
    """While entered it listens; `asked` are the hosts (or addresses) that were refused."""

    def __enter__(self):
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal)
        self.server.daemon_threads = True
        self.asked = self.server.asked = set()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def environment(self):
        """What sends a program's requests here; loopback stays direct."""
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        direct = "127.0.0.1,localhost"
        return {**dict.fromkeys(names, url), "NO_PROXY": direct, "no_proxy": direct}
