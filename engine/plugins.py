"""Names to objects: a table of ``"name": "module:Attribute"`` per kind of plug-in."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar

from engine.errors import PluginError

Plugin = TypeVar("Plugin")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'sst2'? Known: ...``, ready to follow a sentence."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(names) or 'none'}."


def target(kind: str, table: Mapping[str, str], name: str) -> str:
    """Return the ``"module:Attribute"`` that ``name`` stands for, importing nothing.

    Raises:
        PluginError: The table has no such name and it does not name a module.
    """
    if ":" in name:
        return name
    if name in table:
        return table[name]
    raise PluginError(
        f"There is no {kind} named {name!r}.{did_you_mean(name, table)} "
        "For one of your own, write 'package.module:Name'."
    )


@dataclass(frozen=True)
class PluginKind(Generic[Plugin]):
    """One kind of plug-in.

    Attributes:
        title: What it is, for messages.
        table: The known names.
        needs: The attributes that a plug-in must have, ``reads`` among them.
        fields: The fields that there are to read.
    """

    title: str
    table: Mapping[str, str]
    needs: Collection[str]
    fields: Collection[str]

    def load(self, name: str) -> type[Plugin]:
        """Import and return the class that a name stands for.

        Args:
            name: A known one, or "package.module:Name".

        Raises:
            PluginError: There is no such name, module or attribute, it is not of this kind, or it
                reads what is no field.
        """
        plugin: type[Plugin] = _loaded(self, name)
        return plugin


def _loaded(plugins: PluginKind[Any], name: str) -> Any:  # noqa: ANN401 - the one place
    kind, needs, fields = plugins.title, plugins.needs, plugins.fields
    module, _, attribute = target(kind, plugins.table, name).partition(":")
    if not module or not attribute or module.startswith("."):
        raise PluginError(f"The {kind} {name!r} is not of the form 'package.module:Name'.")
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"The {kind} {name!r} needs the module {error.name!r}, which this Python does not "
            "have. Install it, or put its folder on PYTHONPATH, here and on every worker."
        ) from error
    if not hasattr(imported, attribute):
        raise PluginError(f"The {kind} {name!r} was not found: {module} has no {attribute!r}.")
    plugin = getattr(imported, attribute)
    lacking = [need for need in needs if not hasattr(plugin, need)]
    if lacking:
        raise PluginError(f"{name!r} is no {kind}: it has no {lacking[0]!r}.")
    if unknown := sorted(set(plugin.reads) - set(fields)):
        raise PluginError(
            f"The {kind} {name!r} reads {unknown[0]!r}, which is no field."
            f"{did_you_mean(unknown[0], fields)}"
        )
    return plugin
