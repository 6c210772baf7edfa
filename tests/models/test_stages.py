"""Stages that are worked out a second time give the same gradients for less memory."""

import pytest
import torch

from hiresvae.blocks.staged import Staged, recompute_stages
from hiresvae.seeding import Noise, Shard
from hiresvae.training.peak import PeakMemory

LABELS = torch.tensor([0, 1, 2, 0])
KINDS = {
    "one rung": {},
    "ladder": {"pyramid": "1x1 4x2 8x1 16", "attention": [4], "grain": True},
    "precision": {"pyramid": "1x1 4x2 8x1 16", "merge": "precision"},
    "mixture": {"pyramid": "4x1 8x1 16", "likelihood": "logistic_mixture"},
}


def gradients(model, images, noise, recompute):
    recompute_stages(model, recompute)
    model.zero_grad()
    top = torch.ones(2, *model.latent_shapes[0]).flatten(1)
    top_noise = Noise(0, 1, Shard(2, 0, 2)).normal
    out = model(images, LABELS, noise=noise, top=top, top_labels=LABELS[:2], top_noise=top_noise)
    loss = (out.distortion + out.rate.sum(1)).mean() + out.sample.square().sum()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()} | {"": loss.detach()}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_equal(make, awake, images, noise, kind):
    model = awake(make(classes=3, **KINDS[kind]))
    kept, anew = (gradients(model, images, noise, recompute) for recompute in (False, True))
    for name, gradient in kept.items():
        torch.testing.assert_close(anew[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_memory_is_that_of_one_stage_at_a_time(make):
    model = make(size=32, pyramid="1x1 4x2 8x2 16x2 32x2", width=16, max_width=32, blocks=4)
    images, peaks = torch.zeros(4, 3, 32, 32), []
    for recompute in (False, True):
        recompute_stages(model, recompute)
        with PeakMemory() as memory:
            out = model(images, noise=Noise(0, 0, Shard(4, 0, 4)).normal)
            (out.distortion + out.rate.sum(1)).mean().backward()
        model.zero_grad()
        peaks.append(memory.peak)
    assert peaks[1] < 0.6 * peaks[0]


def test_nothing_is_worked_out_again_where_no_gradient_is_asked(make, images, noise):
    model = make(pyramid="1x1 4x2 8x1 16")
    recompute_stages(model, True)
    assert model.recompute and model.encoder.recompute and model.decoder.recompute
    calls = []
    model.encoder.stem.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        model(images, noise=noise)
    assert calls == [1]
    out = model(images, noise=noise)
    out.distortion.mean().backward()
    assert len(calls) == 3, "once before, once forward, once for the backward"
    assert not Staged.recompute, "the switch is each network's own"
