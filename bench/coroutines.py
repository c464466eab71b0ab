#!/usr/bin/env python3
"""Coroutines: spinneret's green threads beside gevent, tokio's tasks and may, each on one thread.

Builds bench/coroutines, installs gevent from PyPI into target/bench-gevent, measures everything several
times, each in a process of its own and in turns, so that what else the machine does hits all alike, and
prints the medians as a table. Servers run on one core, who calls them on another.
"""

import argparse
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The longest that a single measurement may take, in seconds.
PATIENCE = 180
# How long the server of pages takes for each, in milliseconds.
DELAY = 20
SLEEPERS = 100_000
KIB = 1 << 10


@dataclass
class Contender:
    """Who does the work, by which program, and how often."""

    name: str
    program: str
    work: str
    count: int


@dataclass
class Goal:
    """`times` as fast as a peer at least, at most `share` of its figure, or at most `most` of one's own."""

    peer: str = ""
    times: float = 0
    share: float = 0
    most: float = 0

    def judge(self, picked, show):
        """The ratio, the goal and whether it is met."""
        ours = picked["spinneret"]
        if self.most:
            return show(ours), f"≤ {show(self.most)}", ours <= self.most
        theirs = picked[self.peer]
        if self.times:
            return f"{theirs / ours:.3g}× {self.peer}", f"≥ {self.times:g}×", theirs / ours >= self.times
        return f"{ours / theirs:.2f} of {self.peer}", f"≤ {self.share:g}", ours / theirs <= self.share


@dataclass
class Row:
    part: str
    work: str
    contenders: list
    goals: list
    # The other end of it: who serves pages, or who calls the contenders that serve themselves.
    other: str = ""
    # More lines from the same measurements: (what it is, its figure, its goals).
    also: list = field(default_factory=list)


ROWS = [
    Row(
        "spawn",
        "spawn and join of nothing, 1,000 at a time",
        [
            Contender("spinneret", "bench-green", "spawn", 1_000_000),
            Contender("tokio", "bench-tokio", "spawn", 1_000_000),
            Contender("may", "bench-may", "spawn", 1_000_000),
            Contender("gevent", "gevent", "spawn", 100_000),
        ],
        [Goal("tokio", share=2), Goal("gevent", times=25)],
    ),
    Row(
        "yield",
        "a yield, among 1,000",
        [
            Contender("spinneret", "bench-green", "yield", 5_000_000),
            Contender("tokio", "bench-tokio", "yield", 5_000_000),
            Contender("may", "bench-may", "yield", 5_000_000),
            Contender("gevent", "gevent", "yield", 500_000),
        ],
        [Goal("may", share=1), Goal("gevent", times=15)],
    ),
    Row(
        "echo",
        "echo of 64 bytes, 1,000 connections, one core [1]",
        [
            Contender("spinneret", "bench-green", "echo", 300_000),
            Contender("tokio", "bench-tokio", "echo", 300_000),
            Contender("may", "bench-may", "echo", 300_000),
            Contender("gevent", "gevent", "echo", 100_000),
        ],
        [Goal("tokio", times=0.85), Goal("may", times=1), Goal("gevent", times=2)],
        other="echo",
        also=[
            ("the same, processor time of the server", "processor",
             [Goal("tokio", times=0.85), Goal("may", times=1), Goal("gevent", times=2)]),
        ],
    ),
    Row(
        "http",
        f"HTTP, 1,000 coroutines × 20 requests that take {DELAY} ms, a request [2]",
        [
            Contender("spinneret", "bench-green", "http", 20),
            Contender("threads", "bench-tokio", "threads-http", 20),
            Contender("tokio, reqwest", "bench-tokio", "http", 20),
            Contender("gevent", "gevent", "http", 20),
        ],
        [Goal("gevent", times=2.5)],
        other="pages",
        also=[("the same, memory of each", "bytes", [])],
    ),
    Row(
        "download",
        "64 downloaders, a file of 20 KiB [3]",
        [
            Contender("spinneret", "bench-green", "download", 40_000),
            Contender("tokio, reqwest", "bench-tokio", "download", 40_000),
        ],
        [],
        other="files",
    ),
    Row(
        "sleeping",
        f"{SLEEPERS:,} that sleep, to begin each",
        [
            Contender("spinneret", "bench-green", "sleeping", SLEEPERS),
            Contender("tokio", "bench-tokio", "sleeping", SLEEPERS),
            Contender("gevent", "gevent", "sleeping", SLEEPERS),
        ],
        [Goal(most=1 / SLEEPERS)],
        also=[("the same, memory of each", "bytes", [Goal(most=5 * KIB)])],
    ),
    Row(
        "hooks",
        "write and read of 64 bytes in a thread, patched [4]",
        [
            Contender("spinneret", "bench-green", "patched-calls", 1_000_000),
            Contender("linked, not patched", "bench-green", "calls", 1_000_000),
            Contender("not linked", "bench-tokio", "calls", 1_000_000),
        ],
        [Goal("not linked", share=1.03)],
    ),
]

NOTES = """\
[1] Ordinary blocking code of the standard library in spinneret; may's own sockets; a message on every \
connection, then the answers of all. The caller has a core of its own, and may be what is waited for: the \
server's processor time counts too.
[2] ureq in coroutines and in threads, `http.client` for gevent; a connection each, and buffers \
of 8 KiB for ureq. Memory is the client's own, its buffers and its frames, whatever runs it; what the coroutine \
adds is the line of those that sleep.
[3] ureq, a connection for each coroutine, and reqwest with one client for all tasks, as the crawler has it: \
which to build a downloader on.
[4] Outside coroutines: what the patched calls cost everyone else. A socket pair within one thread."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """The folder of the programs, and the Python that has gevent."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    say("building")
    command = ["cargo", "build", "--release", "-q", "--target-dir", target]
    subprocess.run(command, cwd=ROOT / "bench" / "coroutines", check=True)
    python = target / "bench-gevent" / "bin" / "python"
    if subprocess.run([python, "-c", "import gevent"], capture_output=True).returncode if python.exists() else True:
        say("installing gevent")
        subprocess.run([sys.executable, "-m", "venv", target / "bench-gevent"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "gevent"], check=True)
    return target / "release", python


def time_of(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def size_of(number):
    return f"{number / KIB:.1f} KiB"


def processor_time(process):
    """Seconds of processor time of a running process, all its threads together."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """One that is ended with everything it started, whatever happens."""

    def __init__(self, command, cores):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


class Bench:
    def __init__(self, programs, python, rounds, spread, best):
        self.programs = programs
        self.python = python
        self.rounds = rounds
        self.spread = spread
        # What counts of some rounds.
        self.pick = min if best else statistics.median
        self.missed = 0
        cores = sorted(os.sched_getaffinity(0))
        # Of who is measured, and of who is at the other end.
        self.cores = {cores[0]}, {cores[-1]}

    def command(self, contender, address=""):
        if contender.program == "gevent":
            program = [self.python, ROOT / "bench" / "coroutines_gevent.py"]
        else:
            program = [self.programs / contender.program]
        return [*program, contender.work, str(contender.count), address]

    def finish(self, process, name):
        out, errors = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            sys.exit(f"{name} failed:\n{errors}")
        return json.loads(out.splitlines()[-1])

    def address(self, process, name):
        line = process.stdout.readline().strip()
        return line or sys.exit(f"{name} did not start:\n{process.stderr.read()}")

    def run(self, row, contender):
        """One measurement: its figures for each piece of work."""
        own, others = self.cores
        name = f"{contender.name}, {contender.work}"
        load = self.programs / "bench-load"
        if row.other == "echo":
            with Process(self.command(contender), own) as server:
                address = self.address(server, name)
                command = [load, "echo", str(contender.count), address]
                with Process(command, others) as client:
                    before = processor_time(server)
                    found = self.finish(client, f"the caller of {name}")
                # The caller was warm after a tenth more.
                found["processor"] = (processor_time(server) - before) / 1.1
        elif row.other:
            with Process([load, row.other, str(DELAY)], others) as server:
                address = f"http://{self.address(server, 'bench-load')}/"
                with Process(self.command(contender, address), own) as client:
                    found = self.finish(client, name)
        else:
            with Process(self.command(contender), own) as process:
                found = self.finish(process, name)
        count = found.pop("count")
        return {key: value if key == "bytes" else value / count for key, value in found.items()}

    def cell(self, values, show):
        text = show(self.pick(values))
        return f"{text} ({show(min(values))} to {show(max(values))})" if self.spread else text

    def line(self, work, figure, found, goals):
        """One line of the table."""
        show = size_of if figure == "bytes" else time_of
        values = {name: [one[figure] for one in rounds] for name, rounds in found.items()}
        picked = {name: self.pick(some) for name, some in values.items()}
        cells = {name: self.cell(some, show) for name, some in values.items()}
        own = cells.pop("spinneret")
        others = ", ".join(f"{name} {cell}" for name, cell in cells.items())
        judged = [goal.judge(picked, show) for goal in goals] or [("", "", True)]
        ratios, bounds, met = ("; ".join(column) for column in zip(*(
            (ratio, bound, ("yes" if good else "**no**") if bound else "") for ratio, bound, good in judged
        )))
        self.missed += sum(not good for _, _, good in judged)
        print(f"| {work} | {own} | {others} | {ratios} | {bounds} | {met} |", flush=True)

    def measure(self, row):
        found = {contender.name: [] for contender in row.contenders}
        for _ in range(self.rounds):
            for contender in row.contenders:
                found[contender.name].append(self.run(row, contender))
        self.line(row.work, "seconds", found, row.goals)
        for work, figure, goals in row.also:
            self.line(work, figure, found, goals)


def main():
    parts = list(dict.fromkeys(row.part for row in ROWS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=parts, help="only this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--spread", action="store_true", help="show the least and the most too")
    parser.add_argument("--best", action="store_true", help="least times instead of medians, for a busy machine")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is not met")
    arguments = parser.parse_args()
    # A thousand connections are as many descriptors, here and in what is started from here.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bench = Bench(*build(), max(arguments.rounds, 1), arguments.spread, arguments.best)
    begin = time.monotonic()
    print("| work | spinneret | others | ratio | goal | met |")
    print("| --- | ---: | --- | --- | --- | --- |")
    for part in parts:
        if part in (arguments.only or parts):
            say(f"{part} (load {os.getloadavg()[0]:.1f})")
            for row in ROWS:
                if row.part == part:
                    bench.measure(row)
    print()
    print(NOTES.replace("\n", "  \n"))
    processor = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
    versions = "import gevent, platform; print('gevent', gevent.__version__, 'CPython', platform.python_version())"
    gevent = subprocess.run([bench.python, "-c", versions], capture_output=True, text=True).stdout.strip()
    print(
        f"\n{'Least times' if arguments.best else 'Medians'} of {bench.rounds} rounds, "
        f"{time.monotonic() - begin:.0f} s; {os.cpu_count()} cores, {processor}, Linux {platform.release()}, "
        f"{gevent}; load at the end {os.getloadavg()[0]:.1f}."
    )
    if arguments.strict and bench.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
