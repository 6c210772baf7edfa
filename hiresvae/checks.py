"""Settings that exclude one another, refused before anything is built."""

from collections.abc import Callable
from itertools import accumulate

from hiresvae import checks_adversary
from hiresvae.adversarial import GROUP
from hiresvae.errors import UserError
from hiresvae.labelling import parse_labels
from hiresvae.pyramid import parse_pyramid, rung_sides
from hiresvae.settings import Settings

# The three convolutions of the classic backbone leave 1 pixel of 12; the first takes every other.
SMALLEST_CLASSIC = 12
# Of self-attention.
HEADS = 4
WIDEST_LAYER = 65_536
# Numbers of several rungs that one prior describes; the covariance is their square.
MOST_TOP = 2_048


def check(settings: Settings, processes: int = 1) -> None:
    """Refuses what each key allows but all together do not.

    Args:
        settings: as read; each value is already within its own range.
        processes: processes that will train together.

    Raises:
        UserError: names the key, its value, what it collides with, and the nearest valid value.
    """
    rules: list[Callable[[Settings], None]] = [
        _labels, _conditional, _backbone, _sides, _top_rungs, _attention, _widths, _scale,
        *checks_adversary.RULES, _betas, _corruption, _balance, _stages,
    ]  # fmt: skip
    for rule in rules:
        rule(settings)
    _batch(settings, processes)


def cautions(settings: Settings, processes: int = 1) -> list[str]:
    """Returns in words what is allowed, but not what one may take it for.

    Args:
        settings: checked.
        processes: processes that will train together.
    """
    return [*split_cautions(settings, processes), *checks_adversary.cautions(settings)]


def split_cautions(settings: Settings, processes: int = 1) -> list[str]:
    """Returns in words where a batch in parts is not the same as a whole one; as `cautions`."""
    training, adversary = settings.training, settings.adversary
    rows = training.batch_size // (processes * training.accumulation)
    if adversary is None or adversary.critic == "patch" or rows % GROUP == 0:
        return []
    near = max(1, rows // GROUP) * GROUP * processes * training.accumulation
    return [
        f"careful: each of {processes} process(es) times training.accumulation "
        f"{training.accumulation} works off {rows} of {training.batch_size} pictures at once, but "
        f"adversary.critic {adversary.critic!r} compares them in groups of {GROUP}: the rest "
        "make a smaller group, and the critic is another one than with parts of a multiple of "
        f"{GROUP}; nearest: training.batch_size {near}, or adversary.critic 'patch'"
    ]


def _labels(settings: Settings) -> None:
    parse_labels(settings.data.labels, settings.data.limit)
    if settings.data.without and settings.data.labels == "none":
        raise UserError(
            f"data.without is {settings.data.without}, but data.labels is 'none'; nearest valid: "
            "data.labels 'set' or 'folders', or data.without []"
        )
    if settings.data.without and settings.model.conditional:
        raise UserError(
            f"data.without is {settings.data.without}, and model.conditional is true: a label "
            "without pictures cannot be learnt; nearest valid: model.conditional false"
        )


def _conditional(settings: Settings) -> None:
    if settings.model.conditional and settings.data.labels == "none":
        raise UserError(
            "model.conditional is true, but data.labels is 'none'; nearest valid: data.labels "
            "'clusters:8' (or 'folders', 'set', 'csv:FILE:COLUMN'), or model.conditional false"
        )
    if settings.model.conditional and settings.model.backbone == "pyramid":
        levels = parse_pyramid(settings.model.pyramid, settings.data.size)
        if len(levels) == 1:
            raise UserError(
                f"model.pyramid {settings.model.pyramid!r} has one side, so model.conditional has "
                "no passage where a label could enter; nearest valid: 'auto'"
            )


def _backbone(settings: Settings) -> None:
    model, size = settings.model, settings.data.size
    if model.backbone == "classic" and (size < SMALLEST_CLASSIC or size % 2):
        raise UserError(
            f"data.size is {size}, but model.backbone 'classic' needs an even side of "
            f"{SMALLEST_CLASSIC} or more; nearest valid: {max(SMALLEST_CLASSIC, size + size % 2)}"
        )
    if model.hidden and max(model.hidden) > WIDEST_LAYER:
        raise UserError(
            f"model.hidden has {max(model.hidden)}, but a layer may have {WIDEST_LAYER} numbers at "
            f"most; nearest valid: {WIDEST_LAYER}"
        )
    if model.backbone == "dense" and (not model.hidden or min(model.hidden) < 1):
        raise UserError(
            f"model.hidden is {model.hidden}, but model.backbone 'dense' needs at least one layer "
            "and each of 1 or more; nearest valid: [420, 210, 105]"
        )
    if model.linear and model.backbone != "dense":
        raise UserError(
            f"model.linear is true, but model.backbone {model.backbone!r} has activations between "
            "its convolutions; nearest valid: model.backbone 'dense', or model.linear false"
        )
    if model.backbone != "pyramid":
        for key, value, default in (
            ("pyramid", model.pyramid, "auto"),
            ("attention", model.attention, []),
            ("grain", model.grain, False),
            ("merge", model.merge, "residual"),
        ):
            if value != default:
                raise UserError(
                    f"model.{key} is {value!r}, but model.backbone {model.backbone!r} has no "
                    f"pyramid; nearest valid: {default!r}, or model.backbone 'pyramid'"
                )


def _sides(settings: Settings) -> None:
    """Asks the parser; the adversary halves the pictures as the automatic pyramid does."""
    if settings.model.backbone == "pyramid":
        parse_pyramid(settings.model.pyramid, settings.data.size)
    if settings.adversary is not None:
        try:
            parse_pyramid("auto", settings.data.size)
        except UserError as error:
            words = str(error).replace("model.pyramid 'auto' needs", "the adversary needs")
            raise UserError(words) from None


def _top_rungs(settings: Settings) -> None:
    model, sides = settings.model, [1]
    if model.backbone == "pyramid":
        sides = rung_sides(model.pyramid, settings.data.size)
    if model.top_rungs > len(sides):
        raise UserError(
            f"model.top_rungs is {model.top_rungs}, but this model has {len(sides)} "
            f"rung{'s' if len(sides) > 1 else ''}; nearest valid: {len(sides)}"
        )
    if model.fine_temperature != 1 and model.top_rungs == len(sides):
        raise UserError(
            f"model.fine_temperature is {model.fine_temperature:g}, but no rung of this model lies "
            "below its top rungs; nearest valid: 1"
        )
    sizes = [side**2 * model.rung_dim for side in sides]
    sizes[0] = model.latent_dim if sides[0] == 1 else sizes[0]
    fitting = max(1, sum(total <= MOST_TOP for total in accumulate(sizes)))
    if model.top_rungs > fitting:
        raise UserError(
            f"model.top_rungs is {model.top_rungs}, which is {sum(sizes[: model.top_rungs]):,} "
            f"numbers for one prior, {MOST_TOP:,} at most; nearest valid: {fitting}"
        )


def _attention(settings: Settings) -> None:
    if not settings.model.attention:
        return
    sides = [side for side, _ in parse_pyramid(settings.model.pyramid, settings.data.size)]
    spatial = [side for side in sides if side > 1]
    for side in settings.model.attention:
        if side not in spatial:
            near = min(spatial, key=lambda valid: abs(valid - side))
            raise UserError(
                f"model.attention has the side {side}, but the pyramid's sides are "
                f"{', '.join(map(str, spatial))}; nearest valid: {near}"
            )
        wide, most = settings.model.width * settings.data.size // side, settings.model.max_width
        if min(wide, most) % HEADS:
            key, value = ("width", settings.model.width) if wide < most else ("max_width", most)
            raise UserError(
                f"model.attention has the side {side}, where model.{key} {value} gives "
                f"{min(wide, most)} channels, which do not divide into {HEADS} heads; nearest "
                f"valid: model.{key} {round(value / HEADS) * HEADS}"
            )


def _widths(settings: Settings) -> None:
    for name, section in (("model", settings.model), ("adversary", settings.adversary)):
        if section is not None and section.max_width < section.width:
            raise UserError(
                f"{name}.max_width is {section.max_width}, less than {name}.width "
                f"{section.width}; nearest valid: {section.width}"
            )


def _scale(settings: Settings) -> None:
    scale = settings.model.scale
    if isinstance(scale, float | int) and scale <= 0:
        raise UserError(
            f"model.scale is {scale}, but a scale of noise is above 0; nearest valid: 'optimal'"
        )


def _corruption(settings: Settings) -> None:
    """Refuses keys of another kind of corruption, and pairs without their other half."""
    chosen = settings.corruption
    if chosen is None:
        return
    of_kind = {
        "gaussian": ["sigma"], "salt_and_pepper": ["share"], "masking": ["share", "blocks"],
        "pairs": ["inputs"],
    }  # fmt: skip
    for key, field in type(chosen).model_fields.items():
        value, default = getattr(chosen, key), field.get_default()
        if key not in ("kind", *of_kind[chosen.kind]) and value != default:
            kinds = " or ".join(repr(kind) for kind, keys in of_kind.items() if key in keys)
            usual = "null" if default is None else repr(default)
            raise UserError(
                f"corruption.{key} is {value!r}, but corruption.kind is {chosen.kind!r}; nearest "
                f"valid: corruption.kind {kinds}, or corruption.{key} {usual}"
            )
    if chosen.kind == "pairs" and not chosen.inputs:
        raise UserError(
            "corruption.kind is 'pairs', but corruption.inputs is not given: the source of the "
            "corrupted pictures, whose names are those of data.source; nearest valid: "
            "corruption.inputs 'FOLDER'"
        )
    if settings.data.binarize:
        raise UserError(
            "data.binarize is true, but with a section corruption the pictures are not drawn anew; "
            "nearest valid: data.binarize false"
        )
    if chosen.blocks > settings.data.size:
        raise UserError(
            f"corruption.blocks is {chosen.blocks}, more than data.size {settings.data.size}; "
            f"nearest valid: {settings.data.size}"
        )


def _betas(settings: Settings) -> None:
    for name, section in (("training", settings.training), ("adversary", settings.adversary)):
        for beta in section.betas if section is not None else ():
            if not 0 <= beta < 1:
                raise UserError(
                    f"{name}.betas has {beta}, but each is 0 or more and below 1; nearest valid: "
                    f"{0.0 if beta < 0 else 0.99}"
                )


def _balance(settings: Settings) -> None:
    model = settings.model
    if model.kl_balance and model.kl_warmup == 0:
        raise UserError(
            "model.kl_balance is true, but acts while beta rises and model.kl_warmup is 0.0; "
            "nearest valid: model.kl_warmup 0.1, or model.kl_balance false"
        )


def _stages(settings: Settings) -> None:
    """Refuses to work out again what has no stages, or has other weights by then."""
    if not settings.training.gradient_checkpointing:
        return
    if settings.model.backbone != "pyramid":
        raise UserError(
            "training.gradient_checkpointing is true, but model.backbone "
            f"{settings.model.backbone!r} has no stages; nearest valid: false, or model.backbone "
            "'pyramid'"
        )
    if settings.introspective is not None:
        raise UserError(
            "training.gradient_checkpointing is true, but 'introspective' holds weights still "
            "within a step, which are free again when a stage is worked out anew; nearest valid: "
            "false, or introspective null"
        )


def _batch(settings: Settings, processes: int) -> None:
    batch, parts = settings.training.batch_size, settings.training.accumulation
    share = processes * parts
    if batch % share:
        below, above = batch // share * share, (batch // share + 1) * share
        near = f"{below} or {above}" if below else str(above)
        raise UserError(
            f"training.batch_size is {batch}, which {processes} process(es) times "
            f"training.accumulation {parts} do not divide; nearest valid: {near}"
        )
