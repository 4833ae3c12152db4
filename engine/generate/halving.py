"""Tell a prompt that an engine cannot take from an engine that does not work."""

import logging
import traceback
from collections.abc import Iterable, Iterator

from engine.errors import EngineLostError, InputError
from engine.generate.engine import Completion, Prompt, TextEngine
from engine.generate.passes import said
from engine.store.schema import RowId, storable


class HalvingEngine:
    """An engine, and whether it is its own fault if it raises.

    What is unanswered when it raises is asked again in halves, until the prompts are found that it
    raises for alone. If it answers another one after that, they are rows with an error; if it does
    not, the engine is lost, and with it no row: a device that failed would have spoiled them all.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: TextEngine) -> None:
        self._engine = engine
        self._sound: Prompt | None = None  # the last that it answered

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once.

        Raises:
            InputError: As the engine.
            EngineLostError: As the engine; or it raises whatever it is asked.
        """
        groups, failed = [list(prompts)], list[Completion]()
        while groups:
            unanswered = {prompt.row: prompt for prompt in groups.pop()}
            is_one = len(unanswered) == 1
            try:
                yield from self._answers(unanswered)
            except (InputError, EngineLostError):
                raise
            except Exception as error:
                if not unanswered:
                    raise
                if is_one:
                    failed += [_failed(row, error) for row in unanswered]
                else:
                    groups += _halves(list(unanswered.values()))
        if failed and not self._is_well():
            raise EngineLostError(f"it answers nothing: {failed[-1].error}")
        yield from failed

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _answers(self, unanswered: dict[RowId, Prompt]) -> Iterator[Completion]:
        """Ask prompts, and take out of ``unanswered`` those that are answered."""
        for completion in self._engine.complete(list(unanswered.values())):
            prompt = unanswered.pop(completion.row, None)
            if prompt and completion.error is None:
                self._sound = prompt
            yield completion

    def _is_well(self) -> bool:
        """Ask once more what was answered before."""
        if self._sound is None:
            return False
        try:
            return any(
                completion.error is None for completion in self._engine.complete([self._sound])
            )
        except (InputError, EngineLostError):
            raise
        except Exception:  # noqa: BLE001 - which is the answer
            return False


def _failed(row: RowId, error: Exception) -> Completion:
    trace = storable("".join(traceback.format_exception(error)))  # else the log itself may raise
    logging.getLogger("engine.rows").warning("row %s: the engine raised\n%s", row, trace)
    why = f"the engine raised {type(error).__name__}: {said(error)}"
    return Completion(row=row, text="", error=storable(why))


def _halves(prompts: list[Prompt]) -> list[list[Prompt]]:
    """Return the second half, if there is one, and the first, which is asked next."""
    middle = (len(prompts) + 1) // 2
    return [half for half in (prompts[middle:], prompts[:middle]) if half]
