"""Kill something of a study with vLLM at random, again and again, until it is done; then once more.

    PYTHONPATH=.:tests/helpers python tests/faults/soak.py --minutes 20

Every 20 to 40 seconds the command, or one of the processes that it has started, gets a SIGKILL. A
command that has ended is started again. Whatever was committed must stay as it is, and what the
study comes to must be what it comes to undisturbed: each text, label, outcome and prediction (of
mean log-probabilities the last digits depend on what else was in vLLM's batch: they are left out).
vLLM runs on the CPU, in float32, with the small model that comes with textmill; it starts in half a
minute: many of its lives are short.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from command import COMMAND, environment
from root_snapshot import outcome, snapshot

from engine.store.store import Store

STUDY = """
name = "toy"
task = "demo-reviews"
repeats = 1
[generate]
engine = "vllm"
model = "textmill-demo"
max_tokens = 60
engine_args = {dtype = "float32", max_model_len = 512}
[curate]
filters = ["duplicate"]
[train]
trainer = "head"
max_length = 64
[resources]
rows_per_call = 16
[factors]
strategy = ["zero_shot", "topic", "few_shot"]
quantity = [30, 240]
"""
BETWEEN_S = (20, 40)  # two kills
AGAIN_S = 3  # after which what was killed is looked at: its last writers may have been at the end
SHOWN = 2000  # characters of what a command says that ends by itself
STUCK_S = 600  # without any commit and any end
STAGES = ("gold", "pools", "views", "embeddings", "runs")
KINDS = {
    "engine": ("MapWorker", "VLLM::", "EngineCore"),
    "a worker of Ray": ("ray::",),
    "raylet": ("raylet",),
    "head": ("gcs_server",),
}
# the command itself as often as all others together; Ray's own processes now and then
CHANCES = {"command": 8, "engine": 4, "a worker of Ray": 3, "raylet": 1, "head": 1}


class Lives:
    """The lives of one study in one root."""

    def __init__(self, folder: Path, root: str, ends: float) -> None:
        self.folder, self.root, self.ends = folder, root, ends
        self.kills: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.seen: dict[Path, bytes] = {}

    def until_done(self) -> bool:
        """Start the command and kill, until it has ended well; return False if time is over."""
        while True:
            status = self.life()
            self.look()
            if status == 0:
                return True
            if time.monotonic() > self.ends:
                return False

    def life(self) -> int | None:
        """Start the command, kill what chance says, and return how it ended."""
        log = self.folder / f"{self.root}.log"
        with log.open("wb") as sink:
            command = subprocess.Popen(
                [*COMMAND, "run", "study.toml", "--root", self.root],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        family = psutil.Process(command.pid)
        quiet_since, before = time.monotonic(), len(self.files())
        while True:
            try:
                status = command.wait(random.uniform(*BETWEEN_S))
            except subprocess.TimeoutExpired:
                if len(self.files()) != before:
                    quiet_since, before = time.monotonic(), len(self.files())
                if time.monotonic() - quiet_since > STUCK_S:
                    command.send_signal(signal.SIGKILL)
                    fail(f"nothing was committed in {STUCK_S} s", log)
                self.kill(family)
                continue
            self.endings[f"{status}"] += 1
            said = log.read_text().strip()
            if status > 0:
                note(f"the command ended with {status}: {said[-SHOWN:]}")
            if "Traceback" in said:
                fail("a traceback was shown", log)
            return status

    def kill(self, family: psutil.Process) -> None:
        """Kill the command or one of its processes."""
        kind = random.choices(list(CHANCES), list(CHANCES.values()))[0]
        try:
            victims = [
                one
                for one in family.children(recursive=True)
                if any(mark in named(one) for mark in KINDS.get(kind, ()))
            ]
            victim = random.choice(victims) if victims else family
            told = kind if victims else "command"
            note(f"kill {told}: {named(victim)}")
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return
        self.kills[told] += 1

    def files(self) -> dict[Path, bytes]:
        return snapshot(self.folder / self.root, STAGES)

    def look(self) -> None:
        """Make sure that nothing has changed of what was committed, and that all of it is sound."""
        time.sleep(AGAIN_S)
        now = self.files()
        for path, data in self.seen.items():
            if now.get(path) != data:
                sys.exit(f"{path} has changed")
        store = Store.open(str(self.folder / self.root))
        for path in now.keys() - self.seen.keys():
            store.verify(path.relative_to(self.folder / self.root).as_posix())
        self.seen = now
        note(f"{len(now)} files are there and sound")


def come_to(root: Path) -> Any:
    """Return what a study came to, without log-probabilities."""
    tables, results, predictions = outcome(root)
    for rows in tables.values():
        for row in rows:
            row.pop("mean_logprob", None)
    return tables, results, predictions


def differences(found: Any, wanted: Any) -> Iterator[str]:
    """Yield what one outcome has otherwise than another."""
    for kind, one, other in zip(("tables", "results", "runs"), found, wanted, strict=True):
        if isinstance(one, list):
            one, other = dict(enumerate(one)), dict(enumerate(other))
        for name in sorted(one.keys() | other.keys(), key=str):
            if one.get(name) != other.get(name):
                yield f"{kind} {name}: {one.get(name)} instead of {other.get(name)}"[:SHOWN]


def named(process: psutil.Process) -> str:
    """Return what a process calls itself."""
    try:
        return " ".join(process.cmdline()[:2])[-80:] or process.name()
    except psutil.Error:
        return ""


def note(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def fail(why: str, log: Path) -> None:
    sys.exit(f"{why}:\n{log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="at least, of kills")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(10**6)
    random.seed(seed)
    note(f"seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.toml").write_text(STUDY)
        calm = [*COMMAND, "run", "study.toml", "--root", "calm"]
        began = time.monotonic()
        subprocess.run(calm, cwd=folder, env=environment(), check=True)
        note(f"undisturbed: {time.monotonic() - began:.0f} s")
        wanted = come_to(folder / "calm")
        began = time.monotonic()
        kills: Counter[str] = Counter()
        endings: Counter[str] = Counter()
        rounds = 0
        while time.monotonic() - began < 60 * asked.minutes:
            ends = began + 3 * 60 * asked.minutes
            lives = Lives(folder, f"round-{rounds}", ends)
            is_done = lives.until_done()
            kills, endings = kills + lives.kills, endings + lives.endings
            if not is_done:
                sys.exit(f"not done after {len(lives.endings)} lives")
            if told := list(differences(come_to(folder / lives.root), wanted)):
                sys.exit("\n".join(["it came to something else:", *told[:20]]))
            rounds += 1
            note(f"round {rounds}: done, and the same")
        minutes = (time.monotonic() - began) / 60
        note(f"{minutes:.0f} minutes, {rounds} rounds, kills {dict(kills)}, ends {dict(endings)}")


if __name__ == "__main__":
    main()
