"""What the tests share: a tiny model, toy data, and the real data where it is; and the tiers.

A test's folder says what it needs, and is its marker too:

- ``unit``: neither Ray nor any other process
- ``ray``: the one local Ray of the session
- ``flow``: whole commands, without that Ray
- ``faults``: processes that are killed, disks that are full, files that are damaged
- ``cluster``: images, manifests and scripts
"""

import gc
import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # threads that wait for each other take turns at a core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("RAY_ADDRESS", None)

import hypothesis_budget
from hypothesis import settings
from toy_study import BAD, GOOD, THINGS, make_toy

from engine.nodes.environment import PROCESSES, QUIET

for name, value in QUIET.items():
    os.environ.setdefault(name, value)
# as a command sets it: else a busy Ray warns of its processes in the middle of what a command says
os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(PROCESSES))

# Two workers have all tests that need Ray, so they go first; the third begins with the unit tests,
# which tell the most and soonest. Files of much go before those of little, so that at the end no
# worker is left alone for long.
TIERS = ("ray", "unit", "faults", "flow", "cluster")


def pytest_addoption(parser):
    parser.addoption(
        "--long", action="store_true", help="run also what takes minutes each, and more examples"
    )


def pytest_configure(config):
    # how long an example takes says how busy the machine is
    settings.register_profile("busy", deadline=None)
    settings.load_profile("busy")
    if config.getoption("--long"):
        hypothesis_budget.FACTOR = 20


@pytest.hookimpl(optionalhook=True)  # for there may be no pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    from ray_scheduling import RayScheduling

    return RayScheduling(config, log)


def pytest_collection_modifyitems(config, items):
    for item in items:
        item.add_marker(tier_of(item.path))
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --long runs it"))
    items.sort(key=lambda item: TIERS.index(tier_of(item.path)))


def pytest_sessionfinish():
    gc.unfreeze()


def tier_of(path):
    """Return the tier of a test's file: the folder of tests/ that it lies in."""
    tier = path.relative_to(Path(__file__).parent).parts[0]
    if tier not in TIERS:
        raise pytest.UsageError(f"{path} lies in no tier. There are: {', '.join(TIERS)}.")
    return tier


@pytest.fixture(scope="module", autouse=True)
def _quick_collections():
    """Have no garbage looked for among what is imported: statsmodels looks at every family."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def toy(tmp_path, tiny_model):
    """A folder with a task, its gold rows, recorded rows, a study, and a tiny model."""
    return make_toy(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A folder with a BERT of random weights and a tokenizer, as ``transformers`` saves them."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {
        word: number
        for number, word in enumerate(
            [*special, *GOOD, *BAD, *THINGS, "the", "was", "on", "visit", *"0123456789"]
        )
    }
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = tmp_path_factory.mktemp("tiny-bert")
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory):
    """A folder with a Llama of random weights, a byte tokenizer and a chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny-llm")
    numbers = save_byte_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        **numbers,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,  # of 32 numbers: vLLM's CPU kernels take no fewer
        max_position_embeddings=300,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory):
    """The same of another kind: it has learned positions, and none beyond its 300th."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("tiny-gpt2")
    numbers = save_byte_tokenizer(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        **numbers, n_positions=300, n_embd=32, n_layer=1, n_head=2, initializer_range=0.3
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def save_byte_tokenizer(folder):
    """Save a tokenizer and a chat template; return the numbers that a model must know."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = Tokenizer(models.BPE({byte: at for at, byte in enumerate(sorted(alphabet))}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(["<pad>", "<end>", "<ask>"])
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="<end>",
        chat_template="{% for one in messages %}<ask>{{ one.content }}{% endfor %}<end>",
    ).save_pretrained(folder)
    return {
        "vocab_size": len(words.get_vocab()),
        "bos_token_id": None,
        "eos_token_id": words.token_to_id("<end>"),
        "pad_token_id": words.token_to_id("<pad>"),
    }


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets; tests that need it are skipped where it is not."""
    folder = os.environ.get("TEXTMILL_DATA")
    if not folder or not Path(folder, "sst2").is_dir():
        pytest.skip("TEXTMILL_DATA names no folder with the real data sets")
    return Path(folder)
