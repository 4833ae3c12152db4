"""The command ``textmill``: parses, calls the engine, and prints."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from engine.errors import DamagedError, InputError, TextmillError
from engine.nodes import environment
from engine.store.root import DEFAULT as DEFAULT_ROOT
from jobs.bench.cli import bench
from jobs.options import (
    Address,
    Json,
    Overrides,
    Patterns,
    Root,
    Shared,
    StudyPath,
    Variables,
)

# What a command works with it imports itself: ``--help`` needs none of it.
if TYPE_CHECKING:
    from engine.findings.findings import Findings

INTERRUPTED = "interrupted; run the same command to continue"

app = typer.Typer(
    help="Which way of making synthetic training text works for your classifier, how much of it, "
    "and is it worth it?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(bench, name="bench")


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="A built-in task or a task file.")] = None,
) -> None:
    """Show the built-in tasks, or one task: labels, splits, wording, sample prompts."""
    from jobs.terminal import tasks as show_tasks

    typer.echo(show_tasks.task(name) if name else show_tasks.tasks(), nl=False)


@app.command()
def plan(
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
    from engine.api import Study
    from jobs.terminal import plan as show_plan

    if pilot:
        typer.echo(_pilot(study, root, overrides or []), err=True)
    opened = Study.from_file(study, overrides or [], root=root)
    typer.echo(show_plan.plan(opened.survey(), json=json, speed=speed))


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
def status(
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
        from jobs.remote.submit import status as job_status

        typer.echo(job_status(study, address))
        return
    from engine.api import Study
    from jobs.terminal import status as show_status

    opened = Study.from_file(study, overrides or [], root=root)
    text, is_sound = show_status.status(opened.steps, opened.store, json=json, verify=verify)
    typer.echo(text)
    raise typer.Exit(0 if is_sound else 1)


@app.command()
def submit(
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
    from jobs.remote.submit import Submission
    from jobs.remote.submit import submit as send

    names, more = variables or [], patterns or []
    command = "search" if searches else "run"
    submission = Submission(
        study, overrides or [], address, root, shared or [], names, more, command
    )
    raise typer.Exit(send(submission, follows=follow))


@app.command()
def logs(
    study: StudyPath,
    address: Address,
    follow: Annotated[bool, typer.Option(help="Go on until it ends.")] = True,
) -> None:
    """Show what a study's job on a cluster says."""
    from jobs.remote.submit import logs as show_logs

    raise typer.Exit(show_logs(study, address, follows=follow))


@app.command()
def stop(study: StudyPath, address: Address) -> None:
    """Stop a study's job on a cluster; what it has made stays."""
    from jobs.remote.submit import stop as stop_job

    stop_job(study, address)


@app.command()
def doctor(
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
        from jobs.remote.submit import Submission
        from jobs.remote.submit import doctor as look_there

        path = study or Path()
        names, more = variables or [], patterns or []
        submission = Submission(path, overrides or [], address, root, shared or [], names, more)
        raise typer.Exit(look_there(submission, has_study=study is not None, json=json))
    from jobs.doctor.doctor import doctor as look_around

    text, is_sound = look_around(root, study, overrides or [], against, json=json)
    typer.echo(text)
    raise typer.Exit(0 if is_sound else 1)


@app.command()
def report(study: StudyPath, root: Root = DEFAULT_ROOT, overrides: Overrides = None) -> None:
    """Write the report again from what is there."""
    from engine.api import Study
    from jobs.terminal.findings import show_findings

    opened = Study.from_file(study, overrides or [], root=root)
    findings = opened.write_report()
    typer.echo(show_findings(findings, opened.store))
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
    from jobs.terminal import clean as show_clean

    typer.echo(show_clean.clean(root, older_than, remove_them=yes))


def _pilot(study: Path, root: str, overrides: list[str]) -> str:
    from engine.api import Study

    opened = Study.from_file(study, overrides, root=root)
    try:
        rows = opened.make_pilot()
    except KeyboardInterrupt:
        raise typer.Exit(_say(INTERRUPTED, 130)) from None
    return f"The pilot made {rows} rows." if rows else "Every recipe has rows already."


def _run(study: Path, root: str, overrides: list[str]) -> "Findings":
    from engine.api import Study
    from jobs.terminal.screen import Screen

    try:
        opened = Study.from_file(study, overrides, root=root)
        with Screen.of_stderr() as screen:
            findings = opened.run(progress=screen)
    except KeyboardInterrupt:
        raise typer.Exit(_say(INTERRUPTED, 130)) from None
    from jobs.terminal.findings import show_findings  # here: the work need not wait for it

    typer.echo(show_findings(findings, opened.store))
    return findings


def _search(study: Path, root: str, overrides: list[str]) -> int:
    from engine.search.search import search_study
    from engine.store.store import Store
    from engine.study.load import load_study
    from jobs.terminal.screen import Screen

    store = Store.open(root)
    try:
        with Screen.of_stderr() as screen:
            searched = search_study(load_study(study, overrides), store, screen)
    except KeyboardInterrupt:
        return _say(INTERRUPTED, 130)
    from jobs.terminal.search import show_search

    text, is_sound = show_search(searched, store)
    typer.echo(text)
    return 0 if is_sound else 1


def main() -> NoReturn:
    """Run the command; turn errors into messages and exit statuses."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    logging.getLogger("engine").setLevel(logging.INFO)
    logging.getLogger("engine.rows").setLevel(logging.ERROR)  # each has its reason beside it
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    environment.set_up()  # before anything imports Ray
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
