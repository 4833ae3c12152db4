"""The command ``textmill``: parses, calls the engine, and prints."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from engine.errors import DamagedError, InputError, TextmillError
from engine.models import EMBEDDED, PACKAGED_ENCODER
from jobs import show
from jobs.screen import Screen

if TYPE_CHECKING:
    from engine.report.findings import Findings

app = typer.Typer(
    help="Which way of making synthetic training text works for your classifier, how much of it, "
    "and is it worth it?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="The measurements that the README quotes.", no_args_is_help=True)
app.add_typer(bench, name="bench")

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")]
Root = Annotated[
    str, typer.Option("--root", envvar="TEXTMILL_ROOT", help="The folder that holds all work.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field, e.g. train.steps=50."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        help="The cluster's dashboard, such as http://127.0.0.1:8265.",
    ),
]
Shared = Annotated[
    list[Path] | None,
    typer.Option("--shared", help="A folder that every node sees under the same name."),
]
Variables = Annotated[
    list[str] | None, typer.Option("--env", help="An environment variable that goes along.")
]
Patterns = Annotated[
    list[str] | None,
    typer.Option("--include", help="More files of the study's folder that go along."),
]
DEFAULT_ROOT = "textmill-out"


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="A built-in task or a task file.")] = None,
) -> None:
    """Show the built-in tasks, or one task: labels, splits, wording, sample prompts."""
    typer.echo(show.task(name) if name else show.tasks(), nl=False)


@app.command()
def plan(  # noqa: PLR0913 - its options
    study: StudyPath,
    root: Root = DEFAULT_ROOT,
    overrides: Overrides = None,
    json: Json = False,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="First make a few rows of each recipe; they are kept.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(help="Completion tokens per second of a replica, if no row is there.", min=1),
    ] = None,
) -> None:
    """Show what would be made, what is reused, and why, and forecast what it will take."""
    if pilot:
        typer.echo(_pilot(study, root, overrides or []), err=True)
    typer.echo(show.plan(study, overrides or [], root, json=json, speed=speed))


@app.command()
def run(study: StudyPath, root: Root = DEFAULT_ROOT, overrides: Overrides = None) -> None:
    """Do a study, or go on with it."""
    raise typer.Exit(1 if _run(study, root, overrides or []).problems else 0)


@app.command()
def search(study: StudyPath, root: Root = DEFAULT_ROOT, overrides: Overrides = None) -> None:
    """Search a study's factors, with the number of synthetic rows as the budget, or go on."""
    raise typer.Exit(_search(study, root, overrides or []))


@app.command()
def quickstart(root: Root = DEFAULT_ROOT) -> None:
    """Do a whole small study of a demo task, in minutes: no network, no GPU, no account."""
    from jobs.quickstart import STUDY, overrides, what_next

    findings = _run(STUDY, root, overrides())
    typer.echo(what_next())
    raise typer.Exit(1 if findings.problems else 0)


@app.command()
def status(  # noqa: PLR0913 - its options
    study: StudyPath,
    root: Root = DEFAULT_ROOT,
    overrides: Overrides = None,
    json: Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file's checksum and rows.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Of a cluster's dashboard: how the study's job is there.")
    ] = None,
) -> None:
    """Show how far a study is, from its files alone; or how its job on a cluster is."""
    if address:
        from jobs.submit import status as job_status

        typer.echo(job_status(study, address))
        return
    text, is_sound = show.status(study, overrides or [], root, json=json, verify=verify)
    typer.echo(text)
    raise typer.Exit(0 if is_sound else 1)


@app.command()
def submit(  # noqa: PLR0913 - its options
    study: StudyPath,
    address: Address,
    root: Root = DEFAULT_ROOT,
    overrides: Overrides = None,
    shared: Shared = None,
    variables: Variables = None,
    patterns: Patterns = None,
    follow: Annotated[bool, typer.Option(help="Show what it says until it ends.")] = True,
    searches: Annotated[
        bool, typer.Option("--search", help="Search its factors, as `textmill search` does.")
    ] = False,
) -> None:
    """Do a study on a cluster, as a job; where it is there already, attach to it."""
    from jobs.submit import Where
    from jobs.submit import submit as send

    names, more = variables or [], patterns or []
    command = "search" if searches else "run"
    where = Where(study, overrides or [], address, root, shared or [], names, more, command)
    raise typer.Exit(send(where, follows=follow))


@app.command()
def logs(
    study: StudyPath,
    address: Address,
    follow: Annotated[bool, typer.Option(help="Go on until it ends.")] = True,
) -> None:
    """Show what a study's job on a cluster says."""
    from jobs.submit import logs as show_logs

    raise typer.Exit(show_logs(study, address, follows=follow))


@app.command()
def stop(study: StudyPath, address: Address) -> None:
    """Stop a study's job on a cluster; what it has made stays."""
    from jobs.submit import stop as stop_job

    stop_job(study, address)


@app.command()
def doctor(  # noqa: PLR0913 - its options
    study: Annotated[
        Path | None,
        typer.Argument(metavar="[STUDY]", help="A study: its models, engines and workers, too."),
    ] = None,
    root: Root = DEFAULT_ROOT,
    overrides: Overrides = None,
    address: Annotated[
        str | None,
        typer.Option(help="A cluster's dashboard; else this machine, or the Ray at RAY_ADDRESS."),
    ] = None,
    shared: Shared = None,
    variables: Variables = None,
    patterns: Patterns = None,
    json: Json = False,
    against: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Look at every node: versions, GPUs, memory, disk, the root. Before money is spent."""
    if address:
        from jobs.submit import Where
        from jobs.submit import doctor as look_there

        own = study or Path()
        names, more = variables or [], patterns or []
        where = Where(own, overrides or [], address, root, shared or [], names, more)
        raise typer.Exit(look_there(where, has_study=study is not None, json=json))
    from jobs.doctor import doctor as look_around

    text, is_sound = look_around(root, study, overrides or [], against, json=json)
    typer.echo(text)
    raise typer.Exit(0 if is_sound else 1)


@app.command()
def report(study: StudyPath, root: Root = DEFAULT_ROOT, overrides: Overrides = None) -> None:
    """Write the report again from what is there."""
    from engine.pipeline import write_results
    from engine.plan import make_plan
    from engine.store import Store
    from engine.study.load import load_study
    from jobs.show_findings import show_findings

    store = Store.open(root)
    made = make_plan(load_study(study, overrides or []))
    store.probe()
    findings = write_results(made, store)
    typer.echo(show_findings(findings, store))
    raise typer.Exit(1 if findings.problems else 0)


@app.command()
def clean(
    root: Root = DEFAULT_ROOT,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
    older_than: Annotated[
        float, typer.Option(help="Hours since it was last written; spares work that goes on.")
    ] = 1.0,
) -> None:
    """Show what no study refers to, and remove it if told to."""
    typer.echo(show.clean(root, older_than, remove_them=yes))


@bench.command()
def curate(
    rows: Annotated[int, typer.Option(help="Rows to make and judge.", min=100)] = 50_000,
    json: Json = False,
) -> None:
    """Measure rows per second from templates to a view: generate, commit, parse, filter."""
    from jobs.bench import bench_curate

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
    from jobs.bench_embedded import bench_embedded

    typer.echo(bench_embedded(rows, model, json))


@bench.command()
def generate(  # noqa: PLR0913 - its options
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
    ] = "vllm,vllm_in_process,textmill,ray_data_llm,transformers",
    json: Json = False,
) -> None:
    """Measure rows per second of textmill's vLLM pass, beside vLLM alone and Ray's processor."""
    from jobs.bench_generate import bench_generate, load

    told = load(rows, lengths, repeats, model, load_format, replicas, max_num_seqs)
    typer.echo(bench_generate(told, engines.split(","), json))


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
    from jobs.bench_scale import bench_scale

    typer.echo(bench_scale(rows, conditions, replicas, tokens_per_s, json))


@bench.command("search")
def bench_a_search(
    rows: Annotated[Path, typer.Option(help="Labelled texts of two labels (JSON Lines).")],
    seeds: Annotated[int, typer.Option(help="Searches of each kind.", min=2)] = 10,
    draws: Annotated[int, typer.Option(help="Draws to tell a recipe's worth.", min=2)] = 20,
    json: Json = False,
) -> None:
    """Measure regret and cost of searches for the best of 16 recipes of known worth."""
    from jobs.bench_search import bench_search

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
    from jobs.bench_stopping import bench_stopping

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
    from jobs.bench_statistics import bench_statistics

    typer.echo(bench_statistics(simulations, conditions, json))


@bench.command()
def train(  # noqa: PLR0913 - its options
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
    from jobs.bench_train import Load, bench_train

    told = Load(runs=runs, rows=rows, steps=steps, batch_size=batch_size, model=model)
    typer.echo(bench_train(told, arms.split(","), json))


def _pilot(study: Path, root: str, overrides: list[str]) -> str:
    from engine.making import publish_inputs
    from engine.pipeline import make_pilot
    from engine.plan import make_plan
    from engine.references import write_references
    from engine.session import ray_session
    from engine.store import Store
    from engine.study.load import load_study
    from engine.survey import survey

    store = Store.open(root)
    made = make_plan(load_study(study, overrides))
    store.probe()
    publish_inputs(made, store)
    write_references(made, survey(made, store), store)  # first, so that nobody cleans them away
    try:
        with ray_session():
            rows = make_pilot(made, store)
    except KeyboardInterrupt:
        raise typer.Exit(_say("interrupted; run the same command to continue", 130)) from None
    return f"The pilot made {rows} rows." if rows else "Every recipe has rows already."


def _run(study: Path, root: str, overrides: list[str]) -> "Findings":
    from engine.pipeline import run_study
    from engine.plan import make_plan
    from engine.store import Store
    from engine.study.load import load_study

    store = Store.open(root)
    try:
        made = make_plan(load_study(study, overrides))
        with Screen(Console(stderr=True)) as screen:
            findings = run_study(made, store, screen)
    except KeyboardInterrupt:
        raise typer.Exit(_say("interrupted; run the same command to continue", 130)) from None
    from jobs.show_findings import show_findings  # here: the work need not wait for it

    typer.echo(show_findings(findings, store))
    return findings


def _search(study: Path, root: str, overrides: list[str]) -> int:
    from engine.search.stage import search_study
    from engine.store import Store
    from engine.study.load import load_study

    store = Store.open(root)
    try:
        with Screen(Console(stderr=True)) as screen:
            searched = search_study(load_study(study, overrides), store, screen)
    except KeyboardInterrupt:
        return _say("interrupted; run the same command to continue", 130)
    from jobs.show_search import show_search

    text, is_sound = show_search(searched, store)
    typer.echo(text)
    return 0 if is_sound else 1


def main() -> NoReturn:
    """Run the command; turn errors into messages and exit statuses."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    logging.getLogger("engine").setLevel(logging.INFO)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        app(standalone_mode=True)
    except InputError as error:
        sys.exit(_say(f"error: {error}", 2))
    except DamagedError as error:
        advice = "The study's `textmill run`, or `search`, sets it aside and makes it again."
        sys.exit(_say(f"error: {error} {advice}", 1))
    except TextmillError as error:
        sys.exit(_say(f"error: {error}", 1))
    sys.exit(0)


def _say(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
