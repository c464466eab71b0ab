#!/usr/bin/env python3
"""The manager: spinneret beside CPython's multiprocessing.managers, Redis and a bare TCP ping-pong.

Builds the program and bench/manager, starts each server as a process of its own, measures everything
several times and in turns, so that what else the machine does hits all alike, and prints the medians as
a table. Needs python3 and redis-server (Debian's package of that name).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY = "qiye"
QUEUE = "get_task_queue"

# The longest that a single measurement may take, in seconds.
PATIENCE = 120
# How long a server may take to start.
START = 20

IDLE = 10_000
KIB = 1 << 10


@dataclass
class Contender:
    """Who does the work, by which program, at which server, and how often."""

    name: str
    server: str
    work: str
    count: int


@dataclass
class Goal:
    """`times` as fast as a peer at least, at most `share` of its time, or `rate` of its own at least."""

    peer: str = ""
    times: float = 0
    share: float = 0
    rate: float = 0

    def judge(self, picked):
        """The ratio, the goal and whether it is met."""
        ours = picked["spinneret"]
        if self.rate:
            return f"{1 / ours:,.0f}/s", f"≥ {self.rate:,.0f}/s", 1 / ours >= self.rate
        theirs = picked[self.peer]
        if self.times:
            return f"{theirs / ours:.3g}× {self.peer}", f"≥ {self.times:g}×", theirs / ours >= self.times
        return f"{ours / theirs:.2f} of {self.peer}", f"≤ {self.share:g}", ours / theirs <= self.share


@dataclass
class Row:
    part: str
    work: str
    contenders: list
    goals: list = field(default_factory=list)


def python_row(work, size, clients, count, slow, times):
    """The same stock client of Python at our server and at Python's own."""
    return Row(
        "python",
        work,
        [
            Contender("spinneret", "spinneret", f"python put-get {size} {clients}", count),
            Contender("CPython", "python", f"python put-get {size} {clients}", slow),
        ],
        [Goal("CPython", times=times)],
    )


ROWS = [
    python_row("Python client, put and get of 64 bytes", 64, 1, 3000, 3000, 2),
    python_row("the same, 8 clients at once", 64, 8, 8000, 4000, 5),
    python_row("Python client, put and get of 32 KiB [1]", 32 * KIB, 1, 1000, 20, 100),
    Row(
        "rust",
        "Rust client, put and get of 64 bytes, one at a time [2]",
        [
            Contender("spinneret", "spinneret", "round-trip", 20_000),
            Contender("bare TCP", "", "ping-pong", 20_000),
            Contender("Redis", "redis", "redis-round-trip", 20_000),
            Contender("spinneret, awaited", "spinneret", "async-round-trip", 20_000),
        ],
        [Goal("bare TCP", share=1.5)],
    ),
    Row(
        "batch",
        "64 bytes put and taken, 1,000 at a time [3]",
        [
            Contender("spinneret", "spinneret", "batched", 1_000_000),
            Contender("Redis", "redis", "redis-pipelined", 1_000_000),
            Contender("spinneret, single requests", "spinneret", "pipelined", 200_000),
        ],
        [Goal(rate=1_000_000), Goal("Redis", times=1)],
    ),
    Row(
        "batch",
        "the same, 2 clients at once",
        [
            Contender("spinneret", "spinneret", "batched-2", 1_000_000),
            Contender("Redis", "redis", "redis-pipelined-2", 1_000_000),
        ],
        [Goal(rate=1_000_000), Goal("Redis", times=1)],
    ),
    Row(
        "durable",
        "durable, 64 clients, put and get one at a time [4]",
        [
            Contender("spinneret", "spinneret durable", "clients-64", 6_400),
            Contender("Redis", "redis durable", "redis-clients-64", 6_400),
            Contender("bare TCP, nothing kept", "", "ping-pong-64", 6_400),
        ],
        [Goal("Redis", times=1)],
    ),
]

NOTES = """\
[1] Python's server answers what is longer than 16 KiB in two writes, the second of which waits for the \
first one's acknowledgement: 40 ms.
[2] Two round trips; so are those of the bare ping-pong, between two processes with blocking sockets.
[3] `put_many` and `get_many`; for Redis, LPUSH and RPOP of one item each, 1,000 in a write. Single requests \
are `put_async` and `get_async`, 1,000 under way at a time.
[4] `--data`, and Redis with `appendonly yes` and `appendfsync always`: what is acknowledged is on the disk. \
A get of spinneret's is not waited for, since an item that is not known to be taken comes again."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """The program itself, and what measures it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    say("building")
    for folder, package in ((ROOT, ["-p", "spinneret-cli"]), (ROOT / "bench" / "manager", [])):
        command = ["cargo", "build", "--release", "-q", "--target-dir", target, *package]
        subprocess.run(command, cwd=folder, check=True)
    return target / "release"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """Started when first asked for, each alone with its folder, and ended together."""

    def __init__(self, programs, stack):
        self.programs = programs
        self.stack = stack
        self.running = {}

    def folder(self):
        # In the repository's own file system: /tmp may be memory, where nothing is durable.
        return self.stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=self.programs))

    def start(self, kind):
        """Its process and address."""
        if kind not in self.running:
            self.running[kind] = self.launch(kind)
        return self.running[kind]

    def launch(self, kind):
        name, _, durable = kind.partition(" ")
        if name == "redis":
            return self.redis(durable)
        if name == "python":
            command = [sys.executable, ROOT / "bench" / "manager_python.py", "serve"]
        else:
            command = [self.programs / "spinneret", "manager", "--listen", "127.0.0.1:0", "--register", QUEUE]
            if durable:
                command += ["--data", self.folder()]
        process = self.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline().strip()
        if not line.startswith("listening on "):
            sys.exit(f"{kind} did not start: {line!r}")
        return process, line.removeprefix("listening on ")

    def redis(self, durable):
        program = shutil.which("redis-server") or sys.exit("redis-server is missing: apt install redis-server")
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder()]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        process = self.spawn([program, *options], stdout=subprocess.DEVNULL)
        end = time.monotonic() + START
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return process, f"127.0.0.1:{port}"
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit("redis-server did not start")
                time.sleep(0.05)

    def spawn(self, command, **options):
        environment = {**os.environ, "SPINNERET_AUTHKEY": KEY}
        process = subprocess.Popen(command, env=environment, **options)
        self.stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def time_of(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def resident(process):
    """Bytes that a process has in memory."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Bench:
    def __init__(self, programs, servers, rounds, spread, best):
        self.programs = programs
        self.servers = servers
        self.rounds = rounds
        self.spread = spread
        # What counts of some rounds.
        self.pick = min if best else statistics.median
        self.missed = 0
        # By work, what its clients in Python take of the processors themselves for each.
        self.clients = {}

    def command(self, work, count, address):
        kind, _, rest = work.partition(" ")
        if kind != "python":
            return [self.programs / "bench-manager", work, str(count), address]
        what, *sizes = rest.split()
        return [sys.executable, ROOT / "bench" / "manager_python.py", what, address, str(count), *sizes]

    def run(self, contender):
        """One measurement: seconds a piece, and those of processor time that the clients took, if they tell."""
        address = self.servers.start(contender.server)[1] if contender.server else ""
        process = subprocess.Popen(
            self.command(contender.work, contender.count, address), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )
        try:
            out, errors = process.communicate(timeout=PATIENCE)
        except BaseException:
            # Its children are of its session.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if process.returncode != 0:
            sys.exit(f"{contender.name}, {contender.work} failed:\n{errors}")
        found = json.loads(out.splitlines()[-1])
        return found["seconds"] / found["count"], found.get("processor", 0) / found["count"]

    def line(self, work, own, others, judged):
        """One line of the table. A goal is (ratio, goal, met)."""
        others = ", ".join(f"{name} {cell}" for name, cell in others.items())
        ratios, goals, met = ("; ".join(column) for column in zip(*(
            (ratio, goal, "yes" if good else "**no**") for ratio, goal, good in judged
        )))
        self.missed += sum(not good for _, _, good in judged)
        print(f"| {work} | {own} | {others} | {ratios} | {goals} | {met} |", flush=True)

    def cell(self, times):
        text = time_of(self.pick(times))
        return f"{text} ({time_of(min(times))} to {time_of(max(times))})" if self.spread else text

    def speed(self, row):
        times = {contender.name: [] for contender in row.contenders}
        clients = []
        for _ in range(self.rounds):
            for contender in row.contenders:
                seconds, processor = self.run(contender)
                times[contender.name].append(seconds)
                if contender.name == "spinneret" and processor:
                    clients.append(processor)
        if clients:
            self.clients[row.work] = self.pick(clients)
        picked = {name: self.pick(some) for name, some in times.items()}
        cells = {name: self.cell(some) for name, some in times.items()}
        self.line(row.work, cells.pop("spinneret"), cells, [goal.judge(picked) for goal in row.goals])

    def idle(self, kind, work):
        """What a manager has in memory for each of many connections."""
        manager, address = self.servers.launch("spinneret")
        before = resident(manager)
        holder = self.servers.spawn(
            self.command(work, IDLE, address), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        held = json.loads(holder.stdout.readline())["count"]
        each = (resident(manager) - before) / held
        holder.stdin.close()
        holder.wait()
        self.servers.end(manager)
        size = f"{each / KIB:.1f} KiB"
        self.line(f"{IDLE:,} idle connections of {kind}, each", size, {}, [(size, "≤ 20 KiB", each <= 20 * KIB)])


def main():
    parts = [*dict.fromkeys(row.part for row in ROWS), "idle"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=parts, help="only this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--spread", action="store_true", help="show the least and the most too")
    parser.add_argument("--best", action="store_true", help="least times instead of medians, for a busy machine")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is not met")
    arguments = parser.parse_args()
    chosen = arguments.only or parts
    # Ten thousand connections are as many descriptors, here and in what is started from here.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    programs = build()
    with ExitStack() as stack:
        servers = Servers(programs, stack)
        bench = Bench(programs, servers, max(arguments.rounds, 1), arguments.spread, arguments.best)
        begin = time.monotonic()
        print("| work | spinneret | others | ratio | goal | met |")
        print("| --- | ---: | --- | --- | --- | --- |")
        for part in parts:
            if part not in chosen:
                continue
            say(f"{part} (load {os.getloadavg()[0]:.1f})")
            for row in ROWS:
                if row.part == part:
                    bench.speed(row)
            if part == "idle":
                bench.idle("spinneret", "idle")
                bench.idle("Python", "python idle")
        print()
        print(NOTES.replace("\n", "  \n"))
        for work, seconds in bench.clients.items():
            print(f"\n{work}: for each, the clients alone take {time_of(seconds)} of processor time; whatever the "
                  f"server, {os.cpu_count()} cores give one each {time_of(seconds / os.cpu_count())} at most.")
        processor = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                          if line.startswith("model name")), platform.machine())
        redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()
        print(
            f"\n{'Least times' if arguments.best else 'Medians'} of {bench.rounds} rounds, "
            f"{time.monotonic() - begin:.0f} s; {os.cpu_count()} cores, {processor}, Linux {platform.release()}, "
            f"CPython {platform.python_version()}, Redis {redis[2].removeprefix('v=')}; "
            f"load at the end {os.getloadavg()[0]:.1f}."
        )
    if arguments.strict and bench.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
