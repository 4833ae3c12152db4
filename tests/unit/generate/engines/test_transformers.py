"""The engine ``transformers``, on a tiny model of random weights, float32, on the CPU."""

import itertools
import json
import shutil
from collections import Counter

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import ConfigError, ModelError
from engine.generate.engine import Prompt, Setup
from engine.generate.engines.transformers_engine import TransformersEngine
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources

WORDS = ["a", "few", "words", "of", "several", "lengths", "that", "ask", "for", "some", "answer"]


@pytest.fixture
def made(toy, tiny_llm):
    """Answer some prompts; return the completions by index."""

    def run(  # noqa: PLR0913
        count=12, at_once=64, text=None, turned=False, texts=None, as_they_come=False, **settings
    ):
        own = {"engine": "transformers", "model": str(tiny_llm), "max_tokens": 20, **settings}
        asked = [f"generate.{name}={json.dumps(value)}" for name, value in own.items()]
        file = load_study(toy / "study.toml", ["factors.quantity=[8]", "factors.real=[0]", *asked])
        pool = make_plan(file).pools[0]
        resources = Resources(max_num_seqs=at_once, engine_cpus=1)
        store = Store.open(str(toy / "root"))
        engine = TransformersEngine(Setup(store, pool.config, resources, pool.model))
        # one fingerprint for all settings, so that their rows have the same random numbers
        pool = type(pool)(**{**vars(pool), "fingerprint": "f" * 64})
        texts = texts or [
            text or " ".join(WORDS[: 1 + index % len(WORDS)]) for index in range(count)
        ]
        prompts = [Prompt(pool.row("good", at), one, pool) for at, one in enumerate(texts)]
        answers = list(engine.complete(reversed(prompts) if turned else prompts))
        return answers if as_they_come else sorted(answers, key=lambda one: one.row.index)

    return run


def test_the_same_seed_gives_the_same_rows_whatever_the_batch(made):
    rows = made(count=40)
    assert made(count=40) == rows
    assert len({row.text for row in rows}) == 40
    for other in (made(count=40, at_once=7), made(count=40, at_once=1), made(40, turned=True)):
        assert [row.text for row in other] == [row.text for row in rows]
        assert [row.completion_tokens for row in other] == [row.completion_tokens for row in rows]


def test_temperature_0_takes_the_likeliest_token_each_time(made, tiny_llm):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    (row,) = made(count=1, text="abc", temperature=0.0, max_tokens=12)
    tokens = tokenizer("<ask>abc<end>")["input_ids"]
    asked = len(tokens)
    for _ in range(12):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == model.config.eos_token_id:
            break
    assert row.prompt_tokens == asked
    assert row.text == tokenizer.decode(tokens[asked:], skip_special_tokens=True)
    assert made(count=1, text="abc", top_k=1, max_tokens=12)[0].text == row.text


def test_the_model_s_own_sampling_settings_are_not_used(made, tiny_llm, tmp_path):
    other = shutil.copytree(tiny_llm, tmp_path / "penalised")
    path = other / "generation_config.json"
    own = {"repetition_penalty": 9.0, "temperature": 0.1, "do_sample": True, "top_k": 1}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    plain, penalised = made(), made(model=str(other))
    assert [row.text for row in penalised] == [row.text for row in plain]


def first_tokens(tiny_llm, temperature=1.0):
    """Return the probabilities of the first token after the prompt "abc"."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    logits = model(torch.tensor([tokenizer("<ask>abc<end>")["input_ids"]])).logits[0, -1]
    shares = torch.softmax(logits / temperature, -1).tolist()
    return tokenizer, shares


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_tokens_are_drawn_with_their_probability(made, tiny_llm, temperature):
    tokenizer, shares = first_tokens(tiny_llm, temperature)
    rows = made(count=2000, at_once=500, text="abc", max_tokens=1, temperature=temperature)
    likely = Counter()
    for token, share in enumerate(shares):  # single bytes may look alike
        likely[tokenizer.decode([token], skip_special_tokens=True)] += share
    drawn = Counter(row.text for row in rows)
    for text, share in likely.most_common(8):
        spread = (share * (1 - share) / len(rows)) ** 0.5
        assert abs(drawn[text] / len(rows) - share) < 4.5 * spread


def test_top_p_and_top_k_draw_from_the_likeliest_only(made, tiny_llm):
    tokenizer, shares = first_tokens(tiny_llm)
    order = sorted(range(len(shares)), key=lambda token: -shares[token])
    reached = list(itertools.accumulate(shares[token] for token in order))
    nucleus = order[: next(at for at, share in enumerate(reached) if share >= 0.3) + 1]
    for settings, allowed in (({"top_p": 0.3}, nucleus), ({"top_k": 4}, order[:4])):
        rows = made(count=300, at_once=300, text="abc", max_tokens=1, **settings)
        assert {row.text for row in rows} == {
            tokenizer.decode([token], skip_special_tokens=True) for token in allowed
        }


def test_the_mean_log_probability_is_the_model_s_own(made, tiny_llm):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    (row,) = made(count=1, text="abc", temperature=0.0, max_tokens=3)
    asked = tokenizer("<ask>abc<end>")["input_ids"]
    whole = (
        asked
        + model.generate(torch.tensor([asked]), do_sample=False, max_new_tokens=3, pad_token_id=0)[
            0, len(asked) :
        ].tolist()
    )
    logprobs = torch.log_softmax(model(torch.tensor([whole])).logits[0], -1)
    own = [logprobs[at - 1, whole[at]].item() for at in range(len(asked), len(whole))]
    assert row.mean_logprob == pytest.approx(sum(own) / len(own), abs=1e-4)


def test_an_answer_says_how_it_ended(made):
    rows = made(count=60, max_tokens=90, temperature=3.0)
    assert {row.finish_reason for row in rows} == {"stop", "length"}
    for row in rows:
        assert 1 <= row.completion_tokens <= 90
        assert row.completion_tokens == 90 or row.finish_reason == "stop"


def test_rows_come_as_they_end(made):
    rows = made(count=60, max_tokens=90, temperature=3.0, as_they_come=True)
    lengths = [row.completion_tokens for row in rows]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_an_answer_ends_before_a_stop_text(made):
    plain = made(count=30)
    stop = next(row.text[4:6] for row in plain if len(row.text) > 8 and row.text[4:6].isascii())
    cut = made(count=30, stop=[stop])
    alone = made(count=30, stop=[stop], at_once=1)
    assert [row.completion_tokens for row in alone] == [row.completion_tokens for row in cut]
    assert any(one.text != other.text for one, other in zip(plain, cut, strict=True))
    for one, other in zip(plain, cut, strict=True):
        assert other.text == one.text.split(stop)[0]
        assert other.finish_reason == ("stop" if stop in one.text else one.finish_reason)


def test_a_prompt_longer_than_the_context_is_refused_with_its_reason(made):
    (nearly,), (over,) = made(count=1, text="x" * 295), made(count=1, text="x" * 299)
    assert (nearly.prompt_tokens, nearly.error) == (297, None)
    assert nearly.completion_tokens <= 3
    assert over.error == "its prompt has 301 tokens; the model takes 300"
    assert (over.text, over.finish_reason) == ("", None)


def test_rows_near_the_end_of_the_context_do_not_push_others_over_it(made, tiny_gpt2):
    lengths = [5, 290, 295, 200, 296, 80, 295]
    settings = {"model": str(tiny_gpt2), "max_tokens": 150, "temperature": 3.0}
    rows = made(texts=["x" * length for length in lengths], **settings)
    assert [row.prompt_tokens for row in rows] == [length + 2 for length in lengths]
    for row in rows:
        assert row.prompt_tokens + row.completion_tokens <= 300
    alone = made(texts=["x" * length for length in lengths], at_once=1, **settings)
    assert [row.text for row in alone] == [row.text for row in rows]


def test_a_special_token_may_be_a_stop_text(made):
    settings = {"stop": ["<ask>"], "max_tokens": 150, "temperature": 3.0}
    rows, alone = made(count=24, **settings), made(count=24, at_once=1, **settings)
    told = [(row.text, row.completion_tokens, row.finish_reason) for row in rows]
    assert told == [(row.text, row.completion_tokens, row.finish_reason) for row in alone]
    assert not any("<ask>" in row.text or "<end>" in row.text for row in rows)
    longer = made(count=24, max_tokens=150, temperature=3.0)
    pairs = zip(rows, longer, strict=True)
    assert any(one.completion_tokens < other.completion_tokens for one, other in pairs)


def test_a_row_without_numbers_is_refused_and_the_others_are_not(made, tiny_llm, tmp_path):
    broken = shutil.copytree(tiny_llm, tmp_path / "broken")
    model = AutoModelForCausalLM.from_pretrained(broken)
    letter = AutoTokenizer.from_pretrained(broken)("~")["input_ids"][0]
    with torch.no_grad():
        model.model.embed_tokens.weight[letter] = torch.nan
    model.save_pretrained(broken)
    rows = made(texts=["abc", "a~c", "xyz"], model=str(broken))
    assert [row.error for row in rows] == [
        None,
        "the model's probabilities were not numbers",
        None,
    ]
    plain = made(texts=["abc", "abc", "xyz"])
    assert rows[0].text == plain[0].text


def test_rows_with_settings_of_their_own_are_asked_together(toy, tiny_llm):
    asked = ["factors.temperature=[0.0, 1.0]", "factors.quantity=[8]", "factors.real=[0]"]
    asked += ["generate.engine=transformers", f"generate.model={tiny_llm}", "generate.max_tokens=6"]
    pools = make_plan(load_study(toy / "study.toml", asked)).pools
    setup = Setup(Store.open(str(toy / "root")), pools[0].config, Resources(), pools[0].model)
    engine = TransformersEngine(setup)
    prompts = [Prompt(pool.row("good", at), "abc", pool) for at in range(9) for pool in pools]
    texts = {pool.fingerprint: set() for pool in pools}
    for answer in engine.complete(prompts):
        texts[answer.row.pool].add(answer.text)
    assert [len(texts[pool.fingerprint]) for pool in pools] == [1, 9]


@pytest.mark.parametrize(
    ("lost", "says"),
    [("tokenizer.json", "lacks a tokenizer"), ("chat_template.jinja", "has no chat template")],
)
def test_a_generator_that_cannot_be_asked_is_refused(toy, tiny_llm, lost, says):
    shutil.copytree(tiny_llm, toy / "llm", ignore=shutil.ignore_patterns(lost))
    asked = ["generate.engine=transformers", "generate.model=./llm"]
    with pytest.raises(ModelError, match=f"generate.model is .*{says}"):
        make_plan(load_study(toy / "study.toml", asked))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("{dtyp='float32'}", "'dtyp'.*'dtype'"),
        ("{dtype='float31'}", "dtype is 'float31'"),
        ("{chat_template_kwargs=5}", "chat_template_kwargs is 5; it is a table"),
        ("{trust_remote_code='yes'}", "trust_remote_code is 'yes'; it is true or false"),
    ],
)
def test_an_unknown_engine_argument_is_refused(toy, tiny_llm, args, says):
    asked = ["generate.engine=transformers", f"generate.model={tiny_llm}"]
    with pytest.raises(ConfigError, match=says):
        make_plan(load_study(toy / "study.toml", [*asked, f"generate.engine_args={args}"]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_writes_what_the_cpu_writes(toy, tiny_llm):
    asked = ["factors.quantity=[8]", "factors.real=[0]", "generate.temperature=0.0"]
    asked += ["generate.engine=transformers", f"generate.model={tiny_llm}", "generate.max_tokens=9"]
    pool = make_plan(load_study(toy / "study.toml", asked)).pools[0]
    rows = {}
    for gpus in (0.0, 1.0):
        where = Resources(engine_gpus=gpus)
        setup = Setup(Store.open(str(toy / "root")), pool.config, where, pool.model)
        prompts = [Prompt(pool.row("good", at), "abc" * at, pool) for at in range(20)]
        answers = TransformersEngine(setup).complete(prompts)
        rows[gpus] = sorted((one.row.index, one.text, one.mean_logprob) for one in answers)
    assert [row[:2] for row in rows[0.0]] == [row[:2] for row in rows[1.0]]
    for one, other in zip(rows[0.0], rows[1.0], strict=True):
        assert one[2] == pytest.approx(other[2], abs=1e-3)
