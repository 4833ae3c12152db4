"""What ``textmill doctor`` found, and how it is shown."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

from engine.store.store import Store

SHOWN = ("python", "ray", "torch", "transformers", "vllm")  # of the versions, in the table
GIB = 2**30
WIDTH = 240  # more than a line of the table takes: a terminal may wrap it, and a file need not
Weight = Literal["problem", "note"]


class Gpu(NamedTuple):
    """A GPU, and its memory in MiB."""

    name: str
    free_mib: int
    total_mib: int


class Facts(NamedTuple):
    """What a node says of itself.

    Attributes:
        host: Its name.
        versions: Of Python and of packages; None where one is not installed.
        gpus: Its GPUs.
        memory: Free and total bytes.
        shm: Free bytes of /dev/shm; None where there is none.
        disk: Free bytes where the root is, or where Ray's files are if that is no folder.
        root_error: Why the root cannot be written; None if it can.
        sees_mark: Whether it sees the file that the driver put into the root, if it could.
        unreachable: Why models cannot be had, by name.
        clock: Its clock, in seconds since 1970.
    """

    host: str
    versions: Mapping[str, str | None]
    gpus: Sequence[Gpu]
    memory: tuple[int, int]
    shm: int | None
    disk: int
    root_error: str | None
    sees_mark: bool
    unreachable: Mapping[str, str]
    clock: float


class Node(NamedTuple):
    """A node of the cluster.

    Attributes:
        name: Its address.
        is_head: Whether it is the head.
        gpus: GPUs that Ray counts there.
        facts: What it says of itself; None if it does not answer.
        skew_s: How far its clock is ahead of the driver's, at least.
    """

    name: str
    is_head: bool
    gpus: float
    facts: Facts | None
    skew_s: float = 0.0


class Finding(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        weight: "problem" if a study would break, or "note".
        text: What it is, and what helps.
    """

    weight: Weight
    text: str


def gib(amount: int) -> str:
    """Return an amount of bytes in GiB."""
    return f"{amount / GIB:.1f}"


def as_dict(node: Node) -> dict[str, Any]:
    """Return a node as JSON takes it."""
    facts = node.facts
    shown = None
    if facts:
        shown = {**facts._asdict(), "gpus": [gpu._asdict() for gpu in facts.gpus]}
    return {**node._asdict(), "facts": shown}


def text(
    nodes: Sequence[Node], findings: Sequence[Finding], store: Store, *, is_sound: bool
) -> str:
    """Return what was found in a table, with what is wrong behind it."""
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("node", *SHOWN, "GPUs, GiB free", "memory", "/dev/shm"):
        table.add_column(name, no_wrap=True)
    for name in ("disk", "root", "clock"):
        table.add_column(name, no_wrap=True)
    for node in nodes:
        table.add_row(node.name + (" (head)" if node.is_head else ""), *_cells(node))
    page = StringIO()
    Console(file=page, width=WIDTH).print(table)
    lines = [
        f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}, root {store.root}",
        "",
        *page.getvalue().rstrip().splitlines(),
        "",
    ]
    lines += [
        f"{finding.weight}: {finding.text}"
        for finding in sorted(findings, key=lambda finding: finding.weight)
    ]
    problems = sum(finding.weight == "problem" for finding in findings)
    count = f"{problems} problem{'s' if problems > 1 else ''}"
    lines.append("Ready." if is_sound else f"Not ready: {count}.")
    return "\n".join(line.rstrip() for line in lines)


def _cells(node: Node) -> list[str]:
    facts = node.facts
    if facts is None:
        return ["no answer"]
    gpus = "; ".join(
        f"{gpu.name} {gpu.free_mib / 1024:.0f} of {gpu.total_mib / 1024:.0f}" for gpu in facts.gpus
    )
    root = "no" if facts.root_error else "shared" if facts.sees_mark else "another"
    shown = [facts.versions.get(name) or "-" for name in SHOWN]
    return [
        *shown,
        gpus or "-",
        f"{gib(facts.memory[0])} of {gib(facts.memory[1])}",
        "-" if facts.shm is None else gib(facts.shm),
        gib(facts.disk),
        root,
        f"{node.skew_s:+.1f} s",
    ]
