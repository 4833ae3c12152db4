"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
