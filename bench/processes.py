#!/usr/bin/env python3
"""Processes, queues, pipes, pools and locks: spinneret beside CPython's multiprocessing, procspawn,
ipc-channel and crossbeam-channel.

Builds bench/processes, measures everything several times, each in a process of its own and in turns,
so that what else the machine does hits all alike, and prints the medians as a table.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The longest that a single measurement may take, in seconds.
PATIENCE = 120

MIB = 1 << 20


@dataclass
class Contender:
    """One who does the work: what the table calls it, and what is measured how many times."""

    name: str
    measure: str
    count: int


@dataclass
class Goal:
    """`times` how much faster than a peer, or at most `share` of its time."""

    peer: str
    times: float = 0
    share: float = 0

    def judge(self, picked):
        """The ratio, the goal and whether it is met."""
        ours, theirs = picked["spinneret"], picked[self.peer]
        if self.times:
            ratio = theirs / ours
            return f"{ratio:.3g}× {self.peer}", f"≥ {self.times:g}×", ratio >= self.times
        ratio = ours / theirs
        return f"{ratio:.2f} of {self.peer}", f"≤ {self.share:g}", ratio <= self.share


@dataclass
class Row:
    part: str
    work: str
    contenders: list
    goals: list = field(default_factory=list)
    # Fewer for what takes long.
    rounds: int = 0


def python(work, count, name="CPython"):
    return Contender(name, f"python {work}", count)


ROWS = [
    Row(
        "queue",
        "queue between two processes, 64-byte messages [1], one at a time",
        [
            Contender("spinneret", "queue/spinneret", 1_500_000),
            python("queue", 40_000),
            Contender("ipc-channel", "queue/ipc-channel", 100_000),
            Contender("crossbeam-channel [2]", "queue/crossbeam-channel", 3_000_000),
        ],
        [Goal("CPython", times=40), Goal("ipc-channel", times=15)],
    ),
    Row(
        "queue",
        "the same in batches of 1,000 [3]",
        [
            Contender("spinneret", "batches/spinneret", 4_000_000),
            python("queue", 40_000),
            python("lists", 2_000_000, "CPython, lists"),
            Contender("ipc-channel, vectors", "batches/ipc-channel", 2_000_000),
        ],
        [Goal("CPython", times=120)],
    ),
    Row(
        "pipe",
        "pipe round trip, 64 bytes [4]",
        [
            Contender("spinneret", "pipe/spinneret", 20_000),
            Contender("bare socketpair", "pipe/raw", 20_000),
            python("pipe", 8_000),
            Contender("ipc-channel", "pipe/ipc-channel", 20_000),
            Contender("bare SEQPACKET", "pipe/raw-packets", 20_000),
        ],
        [Goal("bare socketpair", share=1.3)],
    ),
    Row(
        "pool",
        "pool, a task that does nothing, chunks of one, 2 workers",
        [
            Contender("spinneret", "pool/spinneret", 200_000),
            python("pool", 10_000),
            Contender("procspawn", "pool/procspawn", 3_000),
        ],
        [Goal("CPython", times=10)],
    ),
    Row(
        "pool",
        "`apply` round trip",
        [
            Contender("spinneret", "apply/spinneret", 10_000),
            python("apply", 3_000),
            Contender("procspawn", "apply/procspawn", 2_000),
        ],
        [Goal("CPython", share=0.2)],
    ),
    Row(
        "start",
        "start and join a process",
        [
            Contender("spinneret", "start/spinneret", 60),
            python("start", 60),
            Contender("procspawn", "start/procspawn", 40),
        ],
        [Goal("CPython", share=1)],
    ),
    Row(
        "start",
        "the same from a parent of 1 GiB",
        [
            Contender("spinneret", "start-large/spinneret", 60),
            # What it must not cost more than; a tenth is noise.
            Contender("spinneret, small parent", "start/spinneret", 60),
            python("start_large", 6),
            Contender("procspawn", "start-large/procspawn", 20),
        ],
        [Goal("spinneret, small parent", share=1.1), Goal("CPython", share=1)],
    ),
    Row(
        "lock",
        "uncontended lock between processes, lock and unlock [5]",
        [
            Contender("spinneret", "lock/spinneret", 5_000_000),
            Contender("plain mutex", "lock/plain", 5_000_000),
            Contender("process-shared mutex", "lock/shared", 5_000_000),
            Contender("robust mutex", "lock/robust", 5_000_000),
            python("lock", 500_000),
        ],
        [Goal("plain mutex", share=1.5)],
    ),
    Row(
        "cpu",
        "CPU-bound work on 2 threads, a piece of 10,000 numbers [6]",
        [
            Contender("spinneret", "cpu/spinneret", 80),
            Contender("one thread", "cpu/one", 80),
            python("cpu", 2),
            python("cpu_one", 2, "CPython, one thread"),
        ],
        [Goal("one thread", times=1.9)],
    ),
    Row(
        "many",
        "1,000,000 queued tasks, `imap`",
        [Contender("spinneret", "imap/spinneret", 1_000_000), python("imap", 100_000)],
        rounds=1,
    ),
    Row(
        "many",
        "1,000,000 queued tasks, `map_async`",
        [Contender("spinneret", "map_async/spinneret", 1_000_000), python("map_async", 1_000_000)],
        rounds=1,
    ),
]

NOTES = """\
[1] `serde_bytes::ByteArray<64>` in Rust, `bytes` in Python.
[2] Between two threads of one process: what is possible without processes.
[3] `put_many` and `get_many`. Python's Queue has no batches, so that the goal is set by its single messages; \
lists of 1,000 messages, and for ipc-channel vectors, are what users make do with.
[4] The bare sockets are `send` and `recv` of 64 bytes in two processes, one of them a fork; a socketpair is SOCK_STREAM.
[5] Each in a process with a second thread, since glibc leaves out the atomic instructions of a plain mutex where there is one.
[6] CPython's threads on the same work: {gil}."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    say("building")
    command = ["cargo", "build", "--release", "-q", "--target-dir", target]
    subprocess.run(command, cwd=ROOT / "bench" / "processes", check=True)
    return target / "release" / "bench-processes"


def run(program, contender):
    """One measurement: what the program that does it prints."""
    kind, _, work = contender.measure.rpartition(" ")
    command = [program] if not kind else [sys.executable, ROOT / "bench" / "processes_python.py"]
    process = subprocess.Popen(
        [*command, work, str(contender.count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=PATIENCE)
    except BaseException:
        # Its children are of its session.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        sys.exit(f"{contender.measure} failed:\n{errors}")
    return json.loads(out.splitlines()[-1])


def time_of(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


class Bench:
    def __init__(self, program, rounds, spread, best):
        self.program = program
        self.rounds = rounds
        self.spread = spread
        # What counts of some rounds.
        self.pick = min if best else statistics.median
        self.missed = 0

    def measure(self, row):
        """What each contender took, round by round."""
        found = {contender.name: [] for contender in row.contenders}
        for _ in range(min(self.rounds, row.rounds or self.rounds)):
            for contender in row.contenders:
                found[contender.name].append(run(self.program, contender))
        return found

    def line(self, work, cells, judged):
        """One line of the table. A goal is (ratio, goal, met)."""
        own, cpython = cells.pop("spinneret"), cells.pop("CPython", "")
        others = ", ".join(f"{name} {cell}" for name, cell in cells.items())
        ratios, goals, met = ("; ".join(column) for column in zip(*(
            (ratio, goal, "yes" if good else "**no**") for ratio, goal, good in judged
        )))
        self.missed += sum(not good for _, _, good in judged)
        print(f"| {work} | {own} | {cpython} | {others} | {ratios} | {goals} | {met} |", flush=True)

    def cell(self, times):
        text = time_of(self.pick(times))
        return f"{text} ({time_of(min(times))} to {time_of(max(times))})" if self.spread else text

    def times(self, row):
        """Seconds a piece, by contender and round."""
        return {
            name: [one["seconds"] / one["count"] for one in rounds] for name, rounds in self.measure(row).items()
        }

    def speed(self, row):
        times = self.times(row)
        picked = {name: self.pick(some) for name, some in times.items()}
        cells = {name: self.cell(some) for name, some in times.items()}
        self.line(row.work, cells, [goal.judge(picked) for goal in row.goals])
        return picked

    def many(self, row):
        """Speed does not count, but what it takes of descriptors and memory."""
        found = {name: rounds[0] for name, rounds in self.measure(row).items()}
        cells = {}
        for name, one in found.items():
            grown = (one["memory"] - one["memory_before"]) / MIB
            seconds = one["seconds"]
            cells[name] = (
                f"{seconds:.1f} s, {one['descriptors']} descriptors, {one['memory'] / MIB:.0f} MiB (+{grown:.0f})"
            )
            if one["count"] != row.contenders[0].count:
                cells[name] += f" for {one['count']:,}"
        ours = found["spinneret"]
        more = ours["descriptors"] - ours["descriptors_before"]
        grown = ours["memory"] - ours["memory_before"]
        if "imap" in row.work:
            bound, size, good = "≤ 16 MiB more", f"{grown / MIB:.1f} MiB", grown <= 16 * MIB
        else:
            # A handle stands for each task.
            a_task = grown / ours["count"]
            bound, size, good = "≤ 512 bytes a task", f"{a_task:.0f} bytes a task", a_task <= 512
        self.line(row.work, cells, [(f"{more:+d} descriptors", "no more", more <= 0), (size, bound, good)])


def main():
    parts = list(dict.fromkeys(row.part for row in ROWS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=parts, help="only this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--spread", action="store_true", help="show the least and the most too")
    parser.add_argument("--best", action="store_true", help="least times instead of medians, for a busy machine")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is not met")
    arguments = parser.parse_args()
    bench = Bench(build(), max(arguments.rounds, 1), arguments.spread, arguments.best)
    begin = time.monotonic()
    print("| work | spinneret | CPython | others | ratio | goal | met |")
    print("| --- | ---: | ---: | --- | --- | --- | --- |")
    notes, chosen = NOTES, arguments.only or parts
    for part in parts:
        if part not in chosen:
            continue
        say(f"{part} (load {os.getloadavg()[0]:.1f})")
        for row in ROWS:
            if row.part != part:
                continue
            if part == "many":
                bench.many(row)
                continue
            picked = bench.speed(row)
            if part == "cpu":
                ratio = picked["CPython, one thread"] / picked["CPython"]
                notes = notes.replace("{gil}", f"two are {ratio:.2f} times as fast as one")
        if part == "many":
            accepted = run(bench.program, Contender("procspawn", "waiting/procspawn", 2000))["accepted"]
            notes += f"\n\nOf 2,000 waiting tasks procspawn's pool took {accepted}, with 1,024 descriptors at most; then EMFILE."
    print()
    for note in notes.splitlines():
        if "{gil}" not in note:
            print(note, end="  \n" if note else "\n")
    processor = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
    print(
        f"\n{'Least times' if arguments.best else 'Medians'} of {bench.rounds} rounds (one of a million tasks), "
        f"{time.monotonic() - begin:.0f} s; {os.cpu_count()} cores, {processor}, Linux {platform.release()}, "
        f"CPython {platform.python_version()}; load at the end {os.getloadavg()[0]:.1f}."
    )
    if arguments.strict and bench.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
