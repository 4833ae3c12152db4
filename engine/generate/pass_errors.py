"""Why a pass of Ray Data ended: the user's doing, a fault of a process or node, or our own code."""

import traceback

from ray.exceptions import RayError, RayTaskError, UserCodeException

from engine.errors import EngineLostError, InputError


def refusal(error: BaseException | None) -> InputError | None:
    """Return what the user gave wrong, if that is why a task of Ray's failed."""
    while error is not None and not isinstance(error, InputError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def forget_frames(error: BaseException | None) -> None:
    """Let go of the variables of the frames that an error passed: among them a pass's actors."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def is_rays(error: BaseException | None) -> bool:
    """Say whether a pass ended by a fault of a process or a node, rather than of our code."""
    while isinstance(error, RayTaskError | UserCodeException):
        error = getattr(error, "cause", None) or error.__cause__
    return isinstance(error, RayError | EngineLostError)


def said(error: Exception | None) -> str:
    """Return an error in a line: the last of what it says, where Ray has the cause."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
