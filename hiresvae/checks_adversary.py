"""Settings of an adversary that exclude one another, or what the model is."""

import math

from hiresvae.adversarial import PAIRED, PATCH_LEVEL, AdversarySettings
from hiresvae.errors import UserError
from hiresvae.pyramid import parse_pyramid, rung_sides
from hiresvae.settings import Settings


def _distortion(settings: Settings) -> None:
    """Refuses a model that nothing tells, from its first step on, what a picture looks like."""
    adversary, terms = settings.adversary, settings.terms
    if settings.model.distortion_weight:
        return
    compared = [terms.lpips, terms.focal_frequency, terms.laplacian]
    compared += [terms.features_weight] if terms.features else []
    if adversary is not None:
        if adversary.balance == "gradient_ratio":
            raise UserError(
                "adversary.balance is 'gradient_ratio', but model.distortion_weight is 0.0, so the "
                "bound has no gradient at the decoder to be weighed against; nearest valid: 'fixed'"
            )
        if set(PAIRED) & set(adversary.fakes) and adversary.start + adversary.warmup == 0:
            compared += [adversary.feature_matching, adversary.classifier_matching]
    if not any(compared):
        raise UserError(
            "model.distortion_weight is 0.0, but nothing else compares reconstructions with their "
            "pictures from the start; nearest valid: 1.0, or adversary.feature_matching 16.0 with "
            "adversary.start 0.0, adversary.warmup 0.0 and reconstructions among adversary.fakes"
        )


def _kinds(settings: Settings) -> None:
    """Refuses a batch too small for each kind of fake to be in it: rows take turns, by number."""
    if settings.adversary is None:
        return
    kinds, rows = settings.adversary.fakes, settings.training.batch_size
    absent = [kind for kind in kinds if kind not in kinds[:rows]]
    if absent:
        raise UserError(
            f"training.batch_size is {rows}, so of adversary.fakes {kinds}, one a picture in turn, "
            f"{absent[0]!r} is never shown; nearest valid: training.batch_size "
            f"{kinds.index(absent[-1]) + 1}, or adversary.fakes {kinds[:rows]}"
        )


def _layer(settings: Settings) -> None:
    if settings.adversary is None or isinstance(settings.adversary.feature_layer, str):
        return
    layer, critic = settings.adversary.feature_layer, settings.adversary.critic
    sides = [level.side for level in parse_pyramid("auto", settings.data.size)[:0:-1]]
    if critic == "patch":
        sides = sides[: PATCH_LEVEL + 1]
    if layer not in sides:
        raise UserError(
            f"adversary.feature_layer is {layer}, but the sides of the critic's features are "
            f"{', '.join(map(str, sides))}; nearest valid: "
            f"{min(sides, key=lambda side: abs(side - layer))}"
        )


def _adversary(settings: Settings) -> None:
    adversary, images = settings.adversary, settings.training.images
    if adversary is not None and adversary.start >= 1:
        raise UserError(
            f"adversary.start is {adversary.start}, a share of training: the adversary would begin "
            f"at image {adversary.start * images:.0f}, but training ends at image {images}; "
            "nearest valid: below 1, such as 0.05"
        )
    if adversary is not None and adversary.start + adversary.warmup >= 1:
        raise UserError(
            f"adversary.warmup is {adversary.warmup} after adversary.start {adversary.start}, "
            "shares of training that leave nothing for the model to feel the adversary; nearest "
            f"valid: below {1 - adversary.start:g}"
        )


def _introspective(settings: Settings) -> None:
    chosen = settings.introspective
    if chosen is None:
        return
    if chosen.start >= 1:
        raise UserError(
            f"introspective.start is {chosen.start}, a share of training: it would never begin; "
            "nearest valid: below 1, such as 0.05"
        )
    if not settings.model.stochastic:
        raise UserError(
            "model.stochastic is false, but 'introspective' plays with the KL, which then is 0; "
            "nearest valid: model.stochastic true, or introspective null"
        )


def _matching(settings: Settings) -> None:
    """Refuses classifiers without labels, means without samples, and a model that feels nothing."""
    adversary = settings.adversary
    if adversary is None:
        return
    if adversary.condition in ("classifier", "both") and not settings.model.conditional:
        raise UserError(
            f"adversary.condition is {adversary.condition!r}, but model.conditional is false, so "
            "fakes have no class; nearest valid: 'none', or model.conditional true"
        )
    for key in ("classifier_matching", "class_mean_matching"):
        weight = getattr(adversary, key)
        if weight and adversary.condition not in ("classifier", "both"):
            raise UserError(
                f"adversary.{key} is {weight}, but adversary.condition is {adversary.condition!r}, "
                "so there is no classifier; nearest valid: 0.0, or adversary.condition 'classifier'"
            )
    felt = ["feature_matching", "classifier_matching"]
    for key in ("mean_matching", "class_mean_matching"):
        weight = getattr(adversary, key)
        if weight and set(adversary.fakes) <= set(PAIRED):
            raise UserError(
                f"adversary.{key} is {weight}, but adversary.fakes has no samples, whose means are "
                "matched; nearest valid: 0.0, or adversary.fakes ['reconstructions', 'fitted']"
            )
        felt.append(key)
    if adversary.loss == "mean_features" and adversary.balance == "gradient_ratio":
        raise UserError(
            "adversary.balance is 'gradient_ratio', but with adversary.loss 'mean_features' the "
            "critic's verdict has no gradient to be weighed; nearest valid: 'fixed'"
        )
    if adversary.loss == "mean_features" and not any(getattr(adversary, key) for key in felt):
        raise UserError(
            "adversary.loss is 'mean_features', but all that the model would feel is 0.0: "
            f"{', '.join(felt)}; nearest valid: adversary.mean_matching 0.1"
        )


def _augment(settings: Settings) -> None:
    if settings.adversary is None:
        return
    chosen = settings.adversary.augment_probability
    if chosen == "adaptive":
        if not settings.adversary.augment:
            raise UserError(
                "adversary.augment_probability is 'adaptive', but adversary.augment is []; "
                "nearest valid: adversary.augment ['translation'], or a probability of 1.0"
            )
    elif not 0 <= chosen <= 1:
        raise UserError(
            f"adversary.augment_probability is {chosen}, but a probability is 0 to 1; nearest "
            f"valid: {0.0 if chosen < 0 else 1.0}, or 'adaptive'"
        )


def _coarse(settings: Settings) -> None:
    """Refuses fakes of the top rungs where nothing is below them, or the encoder is not to hear."""
    adversary, model = settings.adversary, settings.model
    if adversary is None:
        return
    rungs = 1
    if model.backbone == "pyramid":
        rungs = len(rung_sides(model.pyramid, settings.data.size))
    lower = rungs > model.top_rungs
    if "coarse" not in adversary.fakes:
        if adversary.coarse_distortion > 0:
            fakes = f"{['coarse', *adversary.fakes]}, or a weight of 0"
            raise UserError(
                f"adversary.coarse_distortion is {adversary.coarse_distortion:g}, but "
                f"adversary.fakes {adversary.fakes} has no 'coarse'; nearest valid: "
                + (fakes if lower else "a weight of 0, as all rungs of this model are top rungs")
            )
        return
    if not lower:
        raise UserError(
            f"adversary.fakes has 'coarse', but all rungs of this model ({rungs}) are top rungs, "
            "so there is none to be drawn; nearest valid: 'reconstructions', or a ladder such as "
            "model.pyramid '1x1 4x1 8x1 ...'"
        )
    if adversary.coarse_distortion > 0 and model.scale in ("optimal", "learned"):
        if model.likelihood in ("gaussian", "laplace"):
            raise UserError(
                f"adversary.coarse_distortion is {adversary.coarse_distortion:g}, but model.scale "
                f"is {model.scale!r}, which follows what all rungs make of a picture; nearest "
                "valid: a number, such as 0.08"
            )
    if adversary.reaches != "encoder":
        raise UserError(
            f"adversary.fakes has 'coarse', but adversary.reaches is {adversary.reaches!r}; "
            "nearest valid: adversary.reaches 'encoder', or 'reconstructions' instead"
        )


RULES = (_distortion, _adversary, _kinds, _layer, _matching, _coarse, _introspective, _augment)
"""What is asked of settings, in this order."""


def cautions(settings: Settings) -> list[str]:
    """Returns in words what is allowed of an adversary, but does nothing, or not what it seems.

    Args:
        settings: checked.
    """
    adversary, data = settings.adversary, settings.data
    said = _idle_encoder(settings)
    if adversary is None:
        return [f"careful: {words}" for words in said]
    said += _idle(settings)
    felt = [adversary.mean_matching, adversary.class_mean_matching]
    felt += [adversary.weight] if adversary.loss != "mean_features" else []
    felt += [adversary.classifier] if adversary.condition in ("classifier", "both") else []
    if set(PAIRED) & set(adversary.fakes):
        felt += [adversary.feature_matching, adversary.classifier_matching]
    if not any(felt):
        said.append(
            "the critic learns, but the model feels nothing of it: its verdict and all that it "
            "matches weigh 0; nearest: adversary.weight 4.0"
        )
    else:
        said += _unheard(adversary)
    if adversary.balance == "gradient_ratio" and adversary.weight > 1:
        said.append(
            f"adversary.balance 'gradient_ratio' with adversary.weight {adversary.weight:g} pulls "
            f"{adversary.weight:g} times as hard as the bound, however far reconstructions fall "
            "back; nearest: adversary.weight 0.25, or adversary.balance 'fixed'"
        )
    shown, drawn = set(adversary.fakes), settings.prior.kind
    wanted = {"standard": "standard", "running": "fitted"}.get(drawn)
    if shown & {"standard", "fitted"} and wanted is not None and wanted not in shown:
        said.append(
            f"samples will come from prior.kind {drawn!r}, but the critic sees none of these: "
            f"adversary.fakes {adversary.fakes}; nearest: ['reconstructions', {wanted!r}]"
        )
    if adversary.augment_probability == 0 and adversary.augment:
        said.append(
            f"adversary.augment_probability 0 leaves all pictures as they are, whatever "
            f"adversary.augment {adversary.augment} says; nearest: 1.0"
        )
    if data.held_out == 0:
        said.append(
            "adversary.augment_probability 'adaptive' follows training pictures alone, as "
            "data.held_out is 0; nearest: data.held_out 0.05"
            if adversary.augment_probability == "adaptive"
            else "data.held_out is 0, so nothing tells whether the critic learns the training set "
            "by heart, and no best model is kept; nearest: data.held_out 0.05"
        )
    return [f"careful: {words}" for words in said]


def _unheard(adversary: AdversarySettings) -> list[str]:
    """Returns which settings have nothing to act on."""
    said = []
    if not set(PAIRED) & set(adversary.fakes):
        nearest = f"adversary.fakes {['reconstructions', *adversary.fakes]}"
        said += [
            f"adversary.{key} {getattr(adversary, key):g} compares reconstructions with their "
            f"pictures, but adversary.fakes {adversary.fakes} has none; nearest: 0.0, or {nearest}"
            for key in ("feature_matching", "classifier_matching")
            if getattr(adversary, key)
        ]
        if adversary.reaches == "decoder":
            said.append(
                "adversary.reaches 'decoder' is about reconstructions, but adversary.fakes "
                f"{adversary.fakes} has none; nearest: 'encoder', or {nearest}"
            )
    if adversary.classifier_trunk == "own" and adversary.condition not in ("classifier", "both"):
        said.append(
            "adversary.classifier_trunk 'own', but adversary.condition is "
            f"{adversary.condition!r}, so there is no classifier; nearest: adversary.condition "
            "'classifier'"
        )
    return said


def _idle_encoder(settings: Settings) -> list[str]:
    """Returns why an encoder that should be a critic never is."""
    chosen = settings.introspective
    if chosen is None:
        return []
    if chosen.weight == 0:
        return ["introspective.weight 0 teaches nothing; nearest: 1.0, or introspective null"]
    if _felt(settings, chosen.start, chosen.ramp) < _steps(settings):
        return _beyond("introspective", chosen.ramp, 1 - chosen.start)
    sooner = _felt(settings, 0.0, chosen.ramp) < _steps(settings)
    nearest = "introspective.start 0.0" if sooner else "introspective.start and ramp 0.0"
    return [f"{_length(settings)} end before the encoder is a critic; nearest: {nearest}"]


def _idle(settings: Settings) -> list[str]:
    """Returns what of an adversary never happens in so short a training."""
    adversary, steps, length = settings.adversary, _steps(settings), _length(settings)
    assert adversary is not None

    def felt(start: float, warmup: float, ramp: float) -> int:
        return _felt(settings, start + warmup, ramp)

    def due(first: int, every: int, before: int) -> bool:
        return -(-first // every) * every < before

    first = felt(adversary.start, adversary.warmup, adversary.ramp)
    if first >= steps:
        ways = {
            "adversary.start 0.0": (0.0, adversary.warmup, adversary.ramp),
            "adversary.warmup 0.0": (adversary.start, 0.0, adversary.ramp),
            "adversary.ramp 0.0": (adversary.start, adversary.warmup, 0.0),
            "adversary.start, warmup and ramp 0.0": (0.0, 0.0, 0.0),
        }
        nearest = next(words for words, way in ways.items() if felt(*way) < steps)
        return [f"{length} end before the model feels the adversary; nearest: {nearest}"]
    said = []
    judged = math.ceil(_step_of(settings, adversary.start))
    if adversary.gamma > 0 and not due(judged, adversary.penalty_every, steps):
        said.append(
            f"{length} end before gradient penalties are due, adversary.penalty_every "
            f"{adversary.penalty_every}; nearest: 1"
        )
    weighed = adversary.balance == "gradient_ratio" and adversary.weight > 0
    # What a step weighs is felt from the next one on.
    if weighed and not due(first, adversary.balance_every, steps - 1):
        nearest = "1" if due(first, 1, steps - 1) else "adversary.balance 'fixed'"
        said.append(
            f"{length} end before the adversary is weighed, adversary.balance_every "
            f"{adversary.balance_every}, and until then the model feels nothing of its verdict; "
            f"nearest: {nearest}"
        )
    return said + _beyond("adversary", adversary.ramp, 1 - adversary.start - adversary.warmup)


def _beyond(section: str, ramp: float, left: float) -> list[str]:
    """Returns what is to be said of a ramp that is longer than what is left of the training."""
    if round(ramp - left, 6) <= 0:
        return []
    return [
        f"{section}.ramp {ramp:g} goes beyond the end: its weight comes to {left / ramp:.2g} of "
        f"what is set; nearest: {left:g}"
    ]


def _length(settings: Settings) -> str:
    training = settings.training
    return f"training.images {training.images} of {training.batch_size} a step"


def _felt(settings: Settings, begun: float, ramp: float) -> int:
    """Returns the first step that is felt of what begins after a share; from 0 a ramp rises."""
    step = _step_of(settings, begun)
    return math.floor(step) + 1 if ramp > 0 else math.ceil(step)


def _steps(settings: Settings) -> int:
    return -(-settings.training.images // settings.training.batch_size)


def _step_of(settings: Settings, share: float) -> float:
    """Returns a share of the training in steps; shares such as 0.1 are not exact."""
    return round(share * settings.training.images / settings.training.batch_size, 6)
