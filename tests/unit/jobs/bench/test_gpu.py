import json

from transformers import AutoConfig, AutoTokenizer

from jobs.bench.gpu import ENCODER_VOCABULARY, GENERATORS, summary, write_models


def test_a_summary_has_a_line_for_each_measurement_that_came_to_its_end(tmp_path):
    speeds = {"vllm": 318.0, "textmill": 290.8}
    ratios = {"vllm": 0.914, "textmill": 1.0}
    generated = {"rows_per_s": speeds, "textmill_to": ratios}
    trained = {"seconds": {"trainer_tuned": 33.1, "fleet": 78.2}, "ratio": {"trainer_tuned": 0.423}}
    (tmp_path / "generate-1b.json").write_text(json.dumps(generated))
    (tmp_path / "generate-7b.json").write_text("")
    (tmp_path / "train-16.json").write_text(json.dumps(trained))
    assert [" ".join(line.split()) for line in summary(tmp_path).splitlines()] == [
        "generate-1b vllm 318.0 rows/s (ratio 0.914), textmill 290.8 rows/s (ratio 1.0)",
        "train-16 trainer_tuned 33.1 s (ratio 0.423), fleet 78.2 s",
    ]


def test_models_are_ones_that_libraries_load(tmp_path):
    write_models(tmp_path, is_small=True)
    for name in GENERATORS:
        assert AutoConfig.from_pretrained(tmp_path / name).architectures == ["LlamaForCausalLM"]
        assert not list((tmp_path / name).glob("*.safetensors"))
        assert AutoTokenizer.from_pretrained(tmp_path / name).chat_template
    assert AutoConfig.from_pretrained(tmp_path / "encoder").vocab_size == ENCODER_VOCABULARY
    assert (tmp_path / "encoder" / "model.safetensors").is_file()
