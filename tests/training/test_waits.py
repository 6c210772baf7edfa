"""What `hiresvae.training.step` promises: nothing in a step waits for the device."""

import traceback

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
NUMBERS = {aten._local_scalar_dense, aten.is_nonzero, aten.equal}
COUNTED = {aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim}
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
SENT = {aten.lift_fresh}
"""A tensor that was told as a list: it has to be sent to the device."""

ON_THE_HOST = ("one_hot", "batches.py", "seeding.py")
"""What a processor alone is asked: the range of classes; and what is about the host's own numbers,
which are sent without waiting (tests/data/test_batches.py)."""


class Waits(TorchDispatchMode):
    """Notes where in the package a step asks for what a device would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket
        chosen = args[1] if name in INDEXED else ()
        masked = any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in chosen)
        if masked or name in NUMBERS | COUNTED | SENT:
            frames = traceback.extract_stack()
            asked = [
                f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name} {f.line}" for f in frames
            ]
            if not any(word in line for line in asked[-6:] for word in ON_THE_HOST):
                own = [
                    line for f, line in zip(frames, asked, strict=True) if "hiresvae" in f.filename
                ]
                self.found.append(f"{func} by {own[-1] if own else asked[-2]}")
        return func(*args, **(kwargs or {}))


QUICKSTART = (
    "model.conditional=true", "data.labels=set", "data.mirror=true", "model.grain=true",
    "model.scale=0.08", "adversary.augment=[]",
)  # fmt: skip
PUBLISHED = (
    "model.conditional=true", "data.labels=set", "data.mirror=true", "model.scale=1.0",
    "adversary.loss=mean_features", "adversary.condition=classifier", "adversary.classifier=0",
    "adversary.classifier_trunk=own", "adversary.feature_layer=last",
    "adversary.feature_distance=squared", "adversary.classifier_matching=0.1",
    "adversary.mean_matching=0.1", "adversary.class_mean_matching=0.1",
    "adversary.fakes=[reconstructions,standard]", "adversary.augment=[]",
    "adversary.reaches=decoder",
)  # fmt: skip
EVERYTHING = (
    "data.crop=random", "adversary.augment=[color,translation,cutout,mirror,turns,affine]",
    "adversary.augment_probability=adaptive", "adversary.balance=gradient_ratio",
    "adversary.balance_every=1", "adversary.critic=multiscale", "adversary.lecam=0.1",
    "adversary.spectral_norm=true", "adversary.fakes=[reconstructions,fitted,standard]",
    "model.pyramid=1x1 4x2 8x1 ...", "model.kl_balance=true", "model.spectral=0.1",
    "model.free_nats=1", "model.kl_warmup=1", "introspective.start=0", "introspective.ramp=0",
    "terms.laplacian=1", "terms.focal_frequency=1", "code.l1=0.1", "code.sparsity=0.1",
    "corruption.kind=masking", "training.accumulation=2", "training.clip=1",
)  # fmt: skip


@pytest.mark.parametrize("chosen", [QUICKSTART, PUBLISHED, EVERYTHING])
def test_no_step_waits_for_the_device(make_trainer, chosen):
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0", *chosen)
    trainer._set_rates(1.0)
    trainer.step(0)  # some look at the first pictures once, and constants are made
    assert trainer.settings.adversary.penalty_every == 2
    found = []
    for number in (1, 2):  # without penalties, and with them
        with Waits() as waits:
            trainer.step(number, measure=number == 2)
        found += waits.found
    assert not found, "\n".join(sorted(set(found)))


def test_what_waits_is_seen(make_trainer, monkeypatch):
    """The check itself: a row chosen by a mask, forward and backward, and a number told."""
    from hiresvae.adversary.adversary import Adversary

    real = Adversary.model_loss

    def choosing(self, verdict, share):
        chosen = verdict.model["adversarial"] > 0
        return real(self, verdict, share) + verdict.model["adversarial"][chosen].sum()

    monkeypatch.setattr(Adversary, "model_loss", choosing)
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0")
    trainer.step(0)
    with Waits() as waits:
        trainer.step(1)
        torch.ones(()).item()
    assert {line.split(" by ")[0] for line in waits.found} >= {
        "aten.index.Tensor", "aten.index_put.default", "aten._local_scalar_dense.default",
    }  # fmt: skip
