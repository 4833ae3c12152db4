"""Engines and row filters that hurt whoever is not careful: ``poisonous_plugins:Name``."""

import json

from rude_server import RudeServer, Say
from user_plugins import Refusing, Slow

from engine.generate.engine import Completion

MEGABYTE = 2**20
SAME = "the soup was lovely, as it always is"
STRANGE = {
    "a lone surrogate": "the soup was lovely \ud800 on visit {}",
    "an escaped lone surrogate": '{{"review": "the soup was lovely \\ud800 on visit {}"}}',
    "NUL bytes": "the soup\0was\0\0lovely on visit {}",
    "bytes of no text": bytes(range(256)).decode("latin-1").translate(dict.fromkeys(b"{}"))
    + " on {}",
    "bytes that are no UTF-8": b"lovely \xff\xfe\x80 soup".decode("utf-8", "replace") + " {}",
    "right to left": "\u05d4\u05de\u05e8\u05e7 \u05d4\u05d9\u05d4 \u05e0\u05d4\u05d3\u05e8 {}",
    "bidirectional controls": "\u202ethe soup\u202c was \u2066lovely\u2069 \u200fon visit {}",
    "a name with a dotless i": "Rev\u0131ew: the soup was lovely on visit {}",
    "a name with a dotted I": "REV\u0130EW: the soup was lovely on visit {}",
    "the mark of a checksum": f"lovely textmill.sha256={'0' * 64} textmill.notes on visit {{}}",
    "colours of a terminal": "\x1b[2J\x1b[31mthe soup was lovely\x1b]0;title\x07 on visit {}",
    "a word of a megabyte": f"lovely {'x' * MEGABYTE} {{}}",
    "a megabyte of words": f"lovely {'soup ' * (MEGABYTE // 5)} {{}}",
    "a megabyte of nothing": f"lovely {' ' * MEGABYTE} {{}}",
    "a megabyte of colons after a name": f"Verdict{':' * MEGABYTE} {{}}",
    "braces without end": f"{'{{' * 50_000} {{}}",
}
KINDS = list(STRANGE)


def kind_of(index):
    """Return what is strange about the completion of a row."""
    return KINDS[index % len(KINDS)]


def is_bad(row):
    """Say whether a row is one of the four in sixteen that hurt."""
    return row.index % 16 in (3, 4, 5, 12)


class ToldByRecipe(Slow):
    """Answers as ``engine_args.answers`` of a recipe says: all recipes share its engines."""

    reads = frozenset({"engine_args"})

    def complete(self, prompts):
        for prompt in prompts:
            yield getattr(self, prompt.pool.config.engine_args["answers"])(prompt)

    def soundly(self, prompt):
        text = f"the soup was lovely on visit {prompt.row.index} of a {prompt.row.slot} day"
        return Completion(row=prompt.row, text=text)

    def strangely(self, prompt):
        text = STRANGE[kind_of(prompt.row.index)].format(prompt.row.index)
        return Completion(row=prompt.row, text=text)

    def the_same(self, prompt):
        return Completion(row=prompt.row, text=SAME)

    def refusing(self, prompt):
        return next(Refusing.complete(self, [prompt]))

    def with_an_error(self, prompt):
        return Completion(row=prompt.row, text="", error="it is too \udcff hot")

    def with_some_errors(self, prompt):
        return self.with_an_error(prompt) if is_bad(prompt.row) else self.soundly(prompt)

    def raising(self, prompt):
        raise ValueError(f"cannot \udcff bear {prompt.row.index}")

    def raising_for_some(self, prompt):
        return self.raising(prompt) if is_bad(prompt.row) else self.soundly(prompt)


class Raises(Slow):
    """Raises whatever it is asked."""

    def complete(self, prompts):
        raise ZeroDivisionError("the device is gone")
        yield


class BreaksDown(Slow):
    """Answers so many prompts and then raises for ever; it notes what it is asked."""

    def __init__(self, answers=0):
        self.left, self.asked = answers, []

    def complete(self, prompts):
        for prompt in prompts:
            self.asked.append(prompt.row.index)
            if not self.left:
                raise ZeroDivisionError("the device is gone")
            self.left -= 1
            yield Completion(row=prompt.row, text=prompt.text)


class Dislikes(Slow):
    """Raises for some indices, and notes what it is asked."""

    def __init__(self, indices):
        self.indices, self.asked = indices, []

    def complete(self, prompts):
        for prompt in prompts:
            self.asked.append(prompt.row.index)
            if prompt.row.index in self.indices:
                raise ValueError(f"cannot bear {prompt.row.index}")
            yield Completion(row=prompt.row, text=prompt.text)


class AcceptsAll:
    """A row filter that accepts everything."""

    reads = frozenset()
    compares = frozenset()
    remembers = False

    def __init__(self, context):
        pass

    def __call__(self, row):
        return None


class Chokes(AcceptsAll):
    """A row filter that raises for every row of an odd visit, also when it is to remember it."""

    remembers = True

    def __call__(self, row):
        visit = int(row.text.split()[6])
        return {0: None}[visit % 2]


class ChokesOnAll(AcceptsAll):
    """A row filter that raises for every row."""

    def __call__(self, row):
        raise RecursionError("deeper and \ud800 deeper")


class Mumbles(AcceptsAll):
    """A row filter that answers neither a reason nor None."""

    def __call__(self, row):
        return True


class Stammers(AcceptsAll):
    """A row filter whose reason cannot be written down."""

    def __call__(self, row):
        return "too \ud800 strange"


class ServesPoison(RudeServer):
    """A server that fails for ever at prompts that say "poison", and answers the others."""

    def _do(self, thing, handler, proper):
        is_poison = "poison" in json.loads(proper)["choices"][0]["message"]["content"]
        super()._do(Say(500) if is_poison else thing, handler, proper)
