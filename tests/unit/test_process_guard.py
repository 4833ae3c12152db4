"""No process starts unseen while the guard watches."""

import multiprocessing
import os
import subprocess
import sys

import pytest
from process_guard import GUARD, ProcessStartedError

NOTHING = [sys.executable, "-c", ""]
STARTS = {
    "a command": lambda: subprocess.run(NOTHING, check=False),
    "a shell": lambda: os.system("true"),
    "a fork": lambda: multiprocessing.get_context("fork").Process(target=print).start(),
    "a spawn": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    "posix_spawn": lambda: os.posix_spawn(sys.executable, NOTHING, os.environ),
    "another program in its place": lambda: os.execv("/no/such/program", ["it"]),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_process_is_refused_and_told_even_if_what_starts_it_hides_that(start):
    refused = []

    def hide():
        try:
            start()
        except ProcessStartedError as error:
            refused.append(error)

    says = r"A process was started: .*\. It may not\."
    with pytest.raises(ProcessStartedError, match=says), GUARD.watching("It may not."):
        hide()
    assert len(refused) == 1


def test_what_starts_no_process_is_let_pass_and_errors_are_handed_on():
    with GUARD.watching("It may not."):
        assert os.getpid()
    with pytest.raises(KeyError), GUARD.watching("It may not."):
        raise KeyError


def test_whoever_watched_before_goes_on_watching():
    def watch_and_start():
        with GUARD.watching("inner"):
            pass
        os.system("true")

    with pytest.raises(ProcessStartedError, match="outer"), GUARD.watching("outer"):
        watch_and_start()


def test_ray_is_for_other_tiers(request):
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue("ray_up")
