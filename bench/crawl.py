#!/usr/bin/env python3
"""Crawls the Rust documentation from nginx on this machine: spinneret beside Scrapy.

Prints pages, seconds, pages a second, and peak memory of each process.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """nginx with one worker, serving `folder` on a free port."""

    def __init__(self, folder, work):
        self.port = free_port()
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not program:
            sys.exit("nginx is missing: apt-get install nginx-light")
        temp = "".join(
            f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        config = Path(work, "nginx.conf")
        config.write_text(
            f"""{user} worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/error.log;
            events {{ worker_connections 4096; }}
            http {{ include /etc/nginx/mime.types; access_log off; sendfile on; {temp}
              keepalive_requests 1000000;
              server {{ listen 127.0.0.1:{self.port}; root {folder}; }} }}"""
        )
        self.process = subprocess.Popen([program, "-c", config])
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit("nginx did not start")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def descendants(pid):
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


def peak_memory(process):
    """Peak resident memory in MB of the process and of each of its children, sampled until it ends."""
    peaks = {}
    while process.poll() is None:
        for pid in descendants(process.pid):
            try:
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peaks[pid] = int(line.split()[1]) / 1024
            except OSError:
                pass
        time.sleep(0.2)
    own = peaks.pop(process.pid, 0)
    return own, sorted(peaks.values(), reverse=True)


def spinneret(url, workers, concurrency, program):
    with tempfile.TemporaryDirectory() as out:
        command = [program, "crawl", url, "--allow-private", "--ignore-robots", "--delay", "0", "--json"]
        command += ["--workers", str(workers), "--concurrency", str(concurrency), "-o", out]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        memory = peak_memory(process)
        summary = json.loads(process.stdout.read().splitlines()[-1])
    return summary, memory


def scrapy(url, seconds):
    venv = ROOT / "target" / "bench-venv"
    if not (venv / "bin" / "scrapy").exists():
        say("installing Scrapy")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", "scrapy"], check=True)
    command = [venv / "bin" / "scrapy", "runspider", "scrapy_pages.py", "-s", f"CLOSESPIDER_TIMEOUT={seconds}"]
    process = subprocess.Popen(
        command, cwd=ROOT / "bench", env={**os.environ, "BENCH_URL": url}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )
    memory = peak_memory(process)
    line = [line for line in process.stdout.read().splitlines() if line.startswith("BENCH ")][-1]
    _, pages, elapsed = line.split()
    return int(pages), float(elapsed), memory


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="bound of Scrapy's run")
    parser.add_argument("--concurrency", type=int, default=32, help="fetches at once in each worker")
    parser.add_argument("--no-peer", action="store_true", help="leave Scrapy out")
    arguments = parser.parse_args()
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "spinneret"
    say("building")
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "spinneret-cli"], cwd=ROOT, check=True)
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    docs = Path(sysroot.stdout.strip(), "share/doc/rust/html")
    if not docs.is_dir():
        sys.exit("the Rust documentation is missing: rustup component add rust-docs")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        nginx = Nginx(docs, work)
        try:
            url = f"http://127.0.0.1:{nginx.port}/index.html"
            for workers in (1, 2):
                say(f"spinneret, {workers} worker(s)")
                summary, (own, children) = spinneret(url, workers, arguments.concurrency, program)
                memory = f"manager {own:.0f}, workers " + " + ".join(f"{peak:.0f}" for peak in children)
                rows.append((f"spinneret, {workers} worker(s)", summary["pages"], summary["seconds"], memory))
                say(f"  images {summary['images_saved']}/{summary['images_found']}, failures {summary['failures']}")
            if not arguments.no_peer:
                say("Scrapy")
                pages, elapsed, (own, _) = scrapy(url, arguments.seconds)
                rows.append(("Scrapy, 64 requests", pages, elapsed, f"{own:.0f}"))
        finally:
            nginx.close()
    base = rows[-1][1] / rows[-1][2]
    print("| crawler | pages | seconds | pages/s | times the last row | peak memory, MB |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, pages, seconds, memory in rows:
        rate = pages / seconds
        print(f"| {name} | {pages} | {seconds:.1f} | {rate:.0f} | {rate / base:.1f} | {memory} |")


if __name__ == "__main__":
    main()
