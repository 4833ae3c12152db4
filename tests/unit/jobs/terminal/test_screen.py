import io

import pytest
from rich.console import Console

from engine.make.progress import Progress
from jobs.terminal.screen import Screen


@pytest.fixture
def shown(monkeypatch):
    """Show progress at given seconds without a terminal; return the lines."""

    def show(*events):
        now = [0.0]
        monkeypatch.setattr("jobs.terminal.screen.time.monotonic", lambda: now[0])
        sink = io.StringIO()
        with Screen(Console(file=sink, width=200)) as screen:
            for second, done in events:
                now[0] = second
                screen(done)
        return sink.getvalue().splitlines()

    return show


def test_what_a_stage_takes_to_start_is_no_part_of_its_rate(shown):
    lines = shown(
        (0.0, Progress("generate", 1000, 0)),
        (100.0, Progress("generate", 1000, 10, tokens=100)),
        (120.0, Progress("generate", 1000, 210, tokens=2100)),
        (199.0, Progress("generate", 1000, 1000, tokens=10_000)),
    )
    assert lines == [
        "generate: 0 of 1,000 rows",
        "generate: 10 of 1,000 rows",
        "generate: 210 of 1,000 rows 10.0/s, 100 tokens/s, 79 s left",
        "generate: 1,000 of 1,000 rows 10.0/s, 100 tokens/s",
    ]
