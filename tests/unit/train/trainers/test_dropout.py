"""Dropout with masks of our own does what torch's does."""

import pytest
import torch
from torch import nn

from engine.train.trainers.dropout import FastDropout


def dropped(seed, p=0.1, shape=(100, 1000)):
    values = torch.ones(shape, requires_grad=True)
    with FastDropout(seed):
        return values, nn.functional.dropout(values, p)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_as_many_units_are_dropped_as_asked_and_the_others_make_up_for_them(p):
    _, out = dropped(1, p)
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert out.mean().item() == pytest.approx(1, abs=0.01)


def test_masks_follow_from_the_seed_and_differ_from_each_other():
    assert torch.equal(dropped(1)[1], dropped(1)[1])
    assert not torch.equal(dropped(1)[1], dropped(2)[1])
    layer = nn.Dropout(0.5)
    with FastDropout(1):
        one, other = layer(torch.ones(999)), layer(torch.ones(999))
    assert not torch.equal(one, other)


def test_gradients_pass_where_units_were_kept():
    values, out = dropped(1)
    out.sum().backward()
    assert torch.equal(values.grad, out.detach())


def test_nothing_is_dropped_while_predicting():
    with FastDropout(1):
        assert torch.equal(nn.Dropout(0.5).train(False)(torch.ones(9)), torch.ones(9))


@pytest.mark.parametrize("masked", ["not", "bool", "float"])
def test_attention_is_that_of_torch_where_next_to_nothing_is_dropped(masked):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8).unbind(0)
    seen = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    seen[..., 3:] = False
    mask = {
        "not": None,
        "bool": seen,
        "float": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min),
    }[masked]
    attention = nn.functional.scaled_dot_product_attention
    with FastDropout(1):
        ours = attention(query, key, value, attn_mask=mask, dropout_p=1e-9)
        causal = attention(query, key, value, dropout_p=1e-9, is_causal=True)
    assert torch.allclose(ours, attention(query, key, value, attn_mask=mask), atol=1e-6)
    assert torch.allclose(causal, attention(query, key, value, is_causal=True), atol=1e-6)


def test_attention_drops_shares():
    values = torch.ones(1, 1, 4, 4)
    eye = torch.eye(4).view(1, 1, 4, 4) * 1000
    with FastDropout(1):
        outs = [
            nn.functional.scaled_dot_product_attention(eye, eye, values, dropout_p=0.5)
            for _ in range(50)
        ]
    assert set(torch.stack(outs).unique().tolist()) == {0.0, 2.0}
