import pytest
import torch

from hiresvae.training.objective import bound_loss


@pytest.fixture
def trainer(make_trainer):
    return make_trainer("adversary.start=0", "adversary.ramp=0")


def noise_of(trainer, number=0):
    from hiresvae.seeding import Noise, Shard

    return Noise(0, number, Shard(8, 0, 8))


@pytest.mark.parametrize("term", ["distortion", "rate", "adversarial", "feature_matching"])
def test_every_term_reaches_the_model(trainer, term):
    """Finite and not zero: at the decoder's last layer, and the rate at the encoder."""
    from hiresvae.training.objective import Fakes

    images, _ = trainer.batches.batch(0, 8)
    step, noise = trainer.step, noise_of(trainer)
    fakes = Fakes.of_rows(["reconstructions", "fitted"], 0, 8, images.device)
    outputs = step._forward(images, None, noise, fakes)
    weight = trainer.vae.last_layer
    if term == "distortion":
        (gradient,) = torch.autograd.grad(bound_loss(outputs, step.dims, 0.0, 0.0), weight)
    elif term == "rate":
        weights = list(trainer.vae.encoder.parameters())
        gradients = torch.autograd.grad(outputs.rate.mean(), weights, allow_unused=True)
        gradient = torch.cat([g.flatten() for g in gradients if g is not None])
    else:
        mixed = fakes.mix(outputs)
        verdict = step.adversary.judge(
            trainer.networks.critic, images, mixed, None,
            paired=fakes.paired, noise=noise, penalty=False,
        )  # fmt: skip
        (push,) = torch.autograd.grad(verdict.model[term].mean(), verdict.fakes)
        (gradient,) = torch.autograd.grad(mixed, weight, push)
        if term == "feature_matching":
            assert push[1::2].abs().max() == 0, "samples have no original to be like"
            assert push[::2].abs().max() > 0
    assert gradient.isfinite().all()
    assert gradient.norm() > 0


def test_a_step_moves_both_networks_and_leaves_no_gradient(trainer):
    networks = trainer.networks
    trainer._set_rates(1.0)
    before = [p.clone() for p in (*networks.model.parameters(), *networks.critic.parameters())]
    logs = trainer.step(0, measure=True)
    after = [*networks.model.parameters(), *networks.critic.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None or not p.grad.any() for p in after)
    assert all(value.isfinite() for value in logs.values())
    assert logs["bound_gradient_norm"] > 0
    assert logs["adversary_gradient_norm"] > 0
    assert {"r1", "r2"} <= logs.keys()
    assert "r1" not in trainer.step(1), "penalties come every second step here"


def test_the_models_loss_leaves_nothing_in_the_critic(trainer):
    """With the critic's own loss weighed to nothing, its weights see no gradient."""
    from hiresvae.adversary.adversary import Adversary

    class Mute(Adversary):
        def critic_loss(self, verdict):
            return 0.0 * super().critic_loss(verdict)

    trainer.step.adversary = Mute(trainer.settings.adversary)
    trainer._set_rates(1.0)
    before = [p.clone() for p in trainer.networks.critic.parameters()]
    trainer.step(1)
    for old, new in zip(before, trainer.networks.critic.parameters(), strict=True):
        assert torch.equal(old, new)


def test_what_is_measured_changes_no_number(make_trainer):
    ends = []
    for measure in (False, True):
        trainer = make_trainer("adversary.start=0", "adversary.ramp=0")
        trainer._set_rates(1.0)
        for number in range(2):
            trainer.step(number, measure=measure)
        ends.append(trainer.vae.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_only_the_critics_start_brings_its_terms(make_trainer):
    trainer = make_trainer("adversary.start=0.5")
    assert "critic" not in trainer.step(7)
    assert "critic" in trainer.step(8)


def test_the_gradient_is_clipped_where_asked(make_trainer):
    trainer = make_trainer("training.clip=0.001", "adversary=null")
    assert trainer.step(0)["gradient_norm"] > 0.001, "its norm before is told"


def test_terms_reach_the_model_and_are_told_unweighted(make_trainer):
    ends = []
    for weight in (1, 4):
        trainer = make_trainer(
            "adversary=null", f"terms.laplacian={weight}", f"terms.focal_frequency={weight}"
        )
        trainer._set_rates(1.0)
        logs = trainer.step(0)
        assert {"laplacian", "focal_frequency"} <= logs.keys()
        ends.append((logs["laplacian"], trainer.vae.last_layer.clone()))
    assert ends[0][0] == ends[1][0] > 0
    assert not torch.equal(ends[0][1], ends[1][1])


@pytest.mark.parametrize(
    "chosen",
    [
        ("adversary=null", "model.conditional=true", "data.labels=set"),
        ("adversary=null", "model.pyramid=1x1 4 8 16", "introspective.fakes=fitted"),
        ("adversary.start=0", "introspective.relative=true", "training.accumulation=2"),
    ],
)
def test_the_encoder_as_critic_takes_a_few_finite_steps(make_trainer, chosen):
    trainer = make_trainer("introspective.start=0", "introspective.ramp=0", *chosen)
    trainer._set_rates(1.0)
    before = [p.clone() for p in trainer.vae.parameters()]
    for number in range(3):
        logs = trainer.step(number, measure=number == 2)
        assert all(value.isfinite() for value in logs.values())
    assert logs["rate_nats_of_samples"] > 0 and logs["rate_nats_of_reconstructions"] > 0
    assert all(p.isfinite().all() for p in trainer.vae.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.vae.parameters(), strict=True))


def test_introspection_begins_with_its_start_and_weighs_nothing_at_0(make_trainer):
    ends = []
    for chosen in ("introspective=null", "introspective.weight=0"):
        trainer = make_trainer("adversary=null", chosen, *(
            ["introspective.start=0.0625"] if "weight" in chosen else []
        ))  # fmt: skip
        trainer._set_rates(1.0)
        told = ["rate_nats_of_samples" in trainer.step(number) for number in range(2)]
        ends.append(trainer.vae.state_dict())
    assert told == [False, True]
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value)


def test_stages_that_are_worked_out_again_change_no_figure(make_trainer):
    ends = []
    for wanted in ("false", "true"):
        trainer = make_trainer(
            f"training.gradient_checkpointing={wanted}", "adversary.start=0", "adversary.ramp=0",
            "adversary.balance=gradient_ratio", "adversary.balance_every=1",
            "model.pyramid=1x1 4x2 8x1 ...", "model.kl_warmup=0", "adversary.reaches=decoder",
        )  # fmt: skip
        assert trainer.vae.decoder.recompute == (wanted == "true")
        assert not trainer.networks.critic.trunk.recompute
        trainer._set_rates(1.0)
        ends.append([trainer.step(number, measure=True) for number in range(2)])
    for kept, anew in zip(*ends, strict=True):
        assert kept.keys() == anew.keys()
        for name, value in kept.items():
            torch.testing.assert_close(anew[name], value, rtol=1e-3, atol=1e-5, msg=name)
    assert kept["adversary_weight"] > 0


def test_pixels_that_are_not_learnt_by_are_still_told(make_trainer):
    """By weight 0 nothing of them is felt; the bound that is told is whole all the same."""
    told, ends = [], []
    for weight in (0, 1):
        trainer = make_trainer(
            f"model.distortion_weight={weight}", "model.kl_warmup=0", "terms.laplacian=1",
            "adversary=null",
        )  # fmt: skip
        trainer._set_rates(1.0)
        told.append(trainer.step(0, measure=True))
        ends.append(trainer.vae.last_layer.clone())
    for name in ("bound_nats_per_dim", "distortion_nats", "rate_nats", "error"):
        assert torch.equal(told[0][name], told[1][name]), name
    whole = (told[0]["distortion_nats"] + told[0]["rate_nats"]) / trainer.step.dims
    torch.testing.assert_close(told[0]["bound_nats_per_dim"], whole)
    assert told[0]["bound_gradient_norm"] == told[0]["distortion_gradient_norm_at_top"] == 0
    assert told[1]["bound_gradient_norm"] > 0 and not torch.equal(*ends)


def test_a_verdict_for_the_decoder_is_measured_where_it_is_felt(make_trainer):
    """At the top it is what the encoder hears: nothing, where nothing is matched."""
    norms = []
    for chosen in ("encoder", "decoder"):
        trainer = make_trainer(
            "adversary.start=0", "adversary.ramp=0", "adversary.feature_matching=0",
            f"adversary.reaches={chosen}",
        )  # fmt: skip
        told = trainer.step(1, measure=True)
        norms.append([told[f"adversary_gradient_norm{place}"] for place in ("", "_at_top")])
    (last, top), (last_alone, top_alone) = norms
    torch.testing.assert_close(last_alone, last)
    assert top > 0 and top_alone == 0


def test_greys_become_black_and_white_anew_in_every_step(make_trainer, monkeypatch):
    trainer = make_trainer(
        "adversary=null", "data.binarize=true", "model.likelihood=bernoulli", "data.mirror=false"
    )
    seen = []
    trainer.vae.encoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    real = trainer.batches.batch
    monkeypatch.setattr(trainer.batches, "batch", lambda start, count: real(0, count))
    for number in (0, 1, 0):
        trainer.step(number)
    assert all(set(images.unique().tolist()) == {-1.0, 1.0} for images in seen)
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
    greys = real(0, 8)[0]
    # A grey is the chance of white, so the expected picture is the grey one.
    torch.testing.assert_close(seen[0].mean(), greys.mean(), rtol=0, atol=0.06)
    agreement = (seen[0] * greys).mean()
    torch.testing.assert_close(agreement, greys.square().mean(), rtol=0, atol=0.06)


EXTRAS = {
    "relativistic": ["adversary.lecam=0.1"],
    "non_saturating": ["adversary.condition=none"],
    "minimax": ["adversary.reaches=decoder", "adversary.feature_layer=4"],
    "hinge": ["adversary.spectral_norm=true", "adversary.condition=both", "adversary.critic=patch"],
    "least_squares": ["adversary.condition=classifier", "adversary.critic=multiscale"],
    "mean_features": [
        "adversary.condition=classifier", "adversary.classifier_trunk=own", "adversary.gamma=0",
        "adversary.mean_matching=1.0", "adversary.class_mean_matching=1.0",
        "adversary.classifier_matching=1.0", "adversary.lecam=0.1", "adversary.spectral_norm=true",
    ],
}  # fmt: skip
BEGUN = ["adversary.start=0", "adversary.ramp=0", "model.conditional=true", "data.labels=set"]


@pytest.mark.parametrize("loss", EXTRAS)
def test_every_loss_trains_both_networks(make_trainer, loss):
    trainer = make_trainer(*BEGUN, f"adversary.loss={loss}", *EXTRAS[loss])
    trainer._set_rates(1.0)
    networks = trainer.networks
    for number in range(2):
        before = [
            [p.clone() for p in network.parameters()]
            for network in (networks.model, networks.critic)
        ]
        logs = trainer.step(number, measure=True)
        for network, old in zip((networks.model, networks.critic), before, strict=True):
            moved = [not torch.equal(a, b) for a, b in zip(old, network.parameters(), strict=True)]
            assert sum(moved) > len(moved) / 2
    assert all(value.isfinite() for value in logs.values())
    assert logs["adversary_gradient_norm"] > 0
    assert ("adversarial" in logs) == (loss != "mean_features")
    if "classifier" in "".join(EXTRAS[loss]):
        assert 0 <= logs["real_class_accuracy"] <= 1 and logs["real_class_nats"] > 0
    if loss == "mean_features":
        assert logs["mean_matching"] > 0 and logs["class_mean_matching"] > 0 and logs["lecam"] >= 0


def test_parts_of_a_batch_end_where_the_whole_does_with_all_running_means(make_trainer):
    ends = []
    for parts in (1, 2):
        chosen = [*BEGUN, "adversary.loss=mean_features", *EXTRAS["mean_features"]]
        trainer = make_trainer(*chosen, f"training.accumulation={parts}")
        trainer._set_rates(1.0)
        for number in range(3):
            trainer.step(number)
        ends.append(
            trainer.vae.state_dict()
            | trainer.networks.critic.state_dict()
            | trainer._beside["adversary_means"].state_dict()
        )
    assert any(name.endswith("classes.totals") for name in ends[0])
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-4, msg=name)


def test_running_means_are_saved_and_read_again(make_trainer):
    chosen = [*BEGUN, "adversary.loss=mean_features", *EXTRAS["mean_features"]]
    trainer = make_trainer(*chosen)
    trainer.step(0)
    trainer._checkpoint()
    saved = {k: v.clone() for k, v in trainer._beside["adversary_means"].state_dict().items()}
    assert all(value.any() for value in saved.values())
    trainer.step(1)
    trainer.resume()
    again = trainer._beside["adversary_means"].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in saved.items())


ADAPTIVE = (
    "adversary.start=0", "adversary.ramp=0", "adversary.augment_probability=adaptive",
    "adversary.augment_images=100",
)  # fmt: skip


@pytest.mark.parametrize(("sign", "way"), [(1.0, 1), (-1.0, -1)])
def test_the_probability_follows_the_critics_certainty(make_trainer, monkeypatch, sign, way):
    from hiresvae.training import step as module

    monkeypatch.setattr(module, "certainty", lambda _, real, __: torch.full_like(real, sign))
    trainer = make_trainer(*ADAPTIVE)
    trainer._set_rates(1.0)
    trainer.step.augment.probability.fill_(0.4)
    for number in range(4):
        logs = trainer.step(number)
    assert logs["augment_probability"] == pytest.approx(0.4 + way * 4 * 8 / 100)
    assert logs["critic_sign"] == sign


def test_the_distortion_of_coarse_fakes_is_learnt_by_its_weight(make_trainer, monkeypatch):
    def descending(module, lr, *_):
        return torch.optim.SGD(module.parameters(), lr=lr)

    monkeypatch.setattr("hiresvae.training.trainer.make_optimizer", descending)
    ends = {}
    for weight in (0.0, 0.5, 1.0):
        trainer = make_trainer(
            "adversary.start=0", "adversary.ramp=0", "training.clip=null", "training.lr_warmup=0",
            "training.lr=1e-3", "model.pyramid=1x1 4x1 8x1 ...", "model.scale=0.3",
            "adversary.fakes=[coarse, fitted]", f"adversary.coarse_distortion={weight}",
        )  # fmt: skip
        trainer._set_rates(1.0)
        told = trainer.step(0)
        assert ("coarse_nats_per_dim" in told) == (weight > 0)
        ends[weight] = {name: p.detach().clone() for name, p in trainer.vae.named_parameters()}
    moved = {w: {n: p - ends[0.0][n] for n, p in end.items()} for w, end in ends.items()}
    for name, whole in moved[1.0].items():
        size = whole.abs().max().item()
        torch.testing.assert_close(moved[0.5][name] * 2, whole, rtol=2e-2, atol=1e-6 + 2e-2 * size)
    for part in ("encoder", "decoder.head"):
        assert any(m.abs().max() > 0 for n, m in moved[1.0].items() if n.startswith(part)), part
