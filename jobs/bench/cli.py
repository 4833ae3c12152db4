"""``textmill bench``: the measurements."""

from pathlib import Path
from typing import Annotated

import typer

from engine.models import EMBEDDED, PACKAGED_ENCODER
from jobs.options import Json, Overrides, StudyPath

bench = typer.Typer(help="The measurements that the pages quote.", no_args_is_help=True)


@bench.command()
def curate(
    rows: Annotated[int, typer.Option(help="Rows to make and judge.", min=100)] = 50_000,
    json: Json = False,
) -> None:
    """Measure rows per second from templates to a view: generate, commit, parse, filter."""
    from jobs.bench.curate import bench_curate

    typer.echo(bench_curate(rows, json))


@bench.command()
def embedded(
    rows: Annotated[
        int, typer.Option(help="Rows of each task, strategy, temperature.", min=30)
    ] = 250,
    model: Annotated[str, typer.Option(help="Another build of the model: its folder.")] = EMBEDDED,
    json: Json = False,
) -> None:
    """Measure the embedded model: labels kept, aspects, duplicates, copies of its lessons."""
    from jobs.bench.embedded import bench_embedded

    typer.echo(bench_embedded(rows, model, json))


@bench.command()
def generate(
    rows: Annotated[int, typer.Option(help="Rows to make, about.", min=100)] = 2000,
    lengths: Annotated[
        str, typer.Option(help="Of the answers: equal or heavy (tailed).")
    ] = "equal",
    repeats: Annotated[int, typer.Option(help="Repetitions; the median counts.", min=1)] = 3,
    model: Annotated[str, typer.Option(help="The generator: a folder or a hub name.")] = EMBEDDED,
    load_format: Annotated[str, typer.Option(help="vLLM's; dummy needs no weights.")] = "auto",
    replicas: Annotated[int, typer.Option(help="Engines of textmill and Ray.", min=1)] = 1,
    max_num_seqs: Annotated[int, typer.Option(help="Rows answered at a time.", min=1)] = 128,
    engines: Annotated[
        str, typer.Option(help="Which to measure.")
    ] = "vllm,vllm_in_process,vllm_plain,textmill,textmill_here,ray_data_llm,transformers",
    json: Json = False,
) -> None:
    """Measure rows per second of textmill's vLLM pass, beside vLLM alone and Ray's processor."""
    from jobs.bench.generate import Load, bench_generate

    load = Load(rows, lengths, repeats, model, load_format, replicas, max_num_seqs)
    typer.echo(bench_generate(load, engines.split(","), json))


@bench.command()
def scale(
    rows: Annotated[int, typer.Option(help="Rows to make, of all recipes.", min=10_000)] = 200_000,
    conditions: Annotated[int, typer.Option(help="Conditions, about.", min=200)] = 1000,
    replicas: Annotated[int, typer.Option(help="Engines.", min=1)] = 4,
    tokens_per_s: Annotated[
        float, typer.Option(help="Completion tokens per second of each engine.", min=1)
    ] = 20_000,
    json: Json = False,
) -> None:
    """Measure what a large study costs beside its engines, which take a GPU's time and no GPU."""
    from jobs.bench.scale import bench_scale

    typer.echo(bench_scale(rows, conditions, replicas, tokens_per_s, json))


@bench.command("search")
def bench_a_search(
    rows: Annotated[Path, typer.Option(help="Labelled texts of two labels (JSON Lines).")],
    seeds: Annotated[int, typer.Option(help="Searches of each kind.", min=2)] = 10,
    draws: Annotated[int, typer.Option(help="Draws to tell a recipe's worth.", min=2)] = 20,
    json: Json = False,
) -> None:
    """Measure regret and cost of searches for the best of 16 recipes of known worth."""
    from jobs.bench.search import bench_search

    typer.echo(bench_search(rows, seeds, draws, json))


@bench.command()
def stopping(
    study: StudyPath,
    root: Annotated[
        str | None, typer.Option(help="Where rows are kept; if absent, they are not.")
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Do a search, then all of its trials to the last rung, and compare what they found."""
    from jobs.bench.stopping import bench_stopping

    typer.echo(bench_stopping(study, overrides or [], root, json))


@bench.command()
def statistics(
    simulations: Annotated[int, typer.Option(help="Simulated studies per figure.", min=10)] = 1000,
    conditions: Annotated[
        int, typer.Option(help="Conditions of the large study; 0 leaves it out.", min=0)
    ] = 1000,
    json: Json = False,
) -> None:
    """Measure intervals and tests on studies with known answers, and the time of a large one."""
    from jobs.bench.statistics import bench_statistics

    typer.echo(bench_statistics(simulations, conditions, json))


@bench.command()
def train(
    runs: Annotated[int, typer.Option(help="Classifiers to train.", min=1)] = 16,
    rows: Annotated[int, typer.Option(help="Rows that each is trained on.", min=3)] = 300,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each.", min=1)] = 60,
    batch_size: Annotated[int, typer.Option(help="Rows per step.", min=1)] = 32,
    arms: Annotated[
        str, typer.Option(help="Ways to measure.")
    ] = "trainer,trainer_tuned,one_trainer_per_run,fleet",
    model: Annotated[
        str, typer.Option(help="The classifier: a folder or a hub name.")
    ] = PACKAGED_ENCODER,
    json: Json = False,
) -> None:
    """Measure the training fleet beside transformers.Trainer and beside a TorchTrainer per run."""
    from jobs.bench.train import Load, bench_train

    load = Load(runs=runs, rows=rows, steps=steps, batch_size=batch_size, model=model)
    typer.echo(bench_train(load, arms.split(","), json))
