"""The demonstration tells its story to the end, says what a newcomer must see, and leaves no process behind."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from harness import BINARY, Checks, expect, wait_until, workplace

WORDS = ("fallback", "breaker", "p95")


def story(folder):
    began = time.monotonic()
    process = subprocess.Popen(
        [BINARY, "demo", "--once"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=150)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    print("     | " + said.rstrip().replace("\n", "\n     | "))
    expect(process.returncode == 0, f"exit status {process.returncode}")
    for word in WORDS:
        expect(word in said.lower(), f"`{word}` is not mentioned")
    expect("panicked" not in said, "a panic")
    expect(time.monotonic() - began < 120, "longer than two minutes")
    left = [it for it in os.listdir("/proc") if it.isdigit() and session(it) == process.pid]
    expect(not left, f"processes left behind: {left}")
    expect(not os.listdir(folder), f"files left behind: {os.listdir(folder)}")


def keeps_serving(folder):
    """Without `--once` it prints a curl that works, goes on serving, and ends at ctrl-c."""
    said = []
    process = subprocess.Popen(
        [BINARY, "demo"], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    reader = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
    reader.start()

    def curl():
        return re.search(r"curl(?:[^\n]*\\\n)*[^\n]*", "".join(said)) or process.poll() is not None

    try:
        wait_until(curl, 100, "a curl is printed")
        time.sleep(1)
        expect(process.poll() is None, f"ended with {process.returncode}: {''.join(said)[-2000:]}")
        command = curl().group(0)
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20)
        expect(ended.returncode == 0, f"{command}: {ended.stderr}")
        expect('"choices"' in ended.stdout or "data:" in ended.stdout, f"{command}: {ended.stdout[:500]}")
        process.send_signal(signal.SIGINT)
        expect(process.wait(20) == 0, f"exit status {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def session(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[3])
    except (OSError, ValueError, IndexError):
        return None


checks = Checks("demo")
with workplace("demo") as folder:
    checks.run("demo --once", story, folder, seconds=180)
    checks.run("demo keeps serving", keeps_serving, folder, seconds=150)
checks.end()
