"""The model folder as files: which one a name means, and what its words say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hiresvae import hub
from hiresvae.configuration import SettingsError, validate
from hiresvae.errors import UserError, nearest, printable
from hiresvae.paths import readable
from hiresvae.settings import Settings

FORMAT = 1
MAX_SIZE = 2048
"""Side of the largest pictures, as in ``data.size``."""
FILES = ("config.json", "labels.json", "model.safetensors", "prior.safetensors")
SHIPPED = Path(__file__).parent / "shipped"
"""Models that come with the package, each a folder by its name."""


def find_folder(name: str, which: Literal["best", "last"] = "last") -> Path:
    """Returns the model folder that a name means: a run folder's, or a model folder itself.

    Args:
        name: a run folder, a model folder, ``hf:org/name`` on the Hub, or the name of a model that
            comes with the package; a folder of that name goes before it.
        which: of a run folder the "last" model, or the "best" by held-out pictures.

    Raises:
        UserError: there is no model of that name, or it cannot be looked at.
    """
    if name.startswith(hub.PREFIX):
        if which == "best":
            raise _no_best(name)
        return hub.download(name.removeprefix(hub.PREFIX), FILES)
    with readable(f"model {name!r}"):
        return _folder_of(name, which)


def _folder_of(name: str, which: Literal["best", "last"]) -> Path:
    path = Path(name)
    if which == "best" and (path.exists() or name in shipped()):
        if (path / "model_best" / "config.json").is_file():
            return path / "model_best"
        raise _no_best(name)
    if (path / "model" / "config.json").is_file():
        return path / "model"
    if (path / "config.json").is_file():
        return path
    if not path.exists():
        if name in shipped():
            return SHIPPED / name
        near = [str(p.parent.parent) for p in Path("runs").glob("*/model/config.json")]
        hint = nearest(name, [*near, *shipped()])
        if not hint.startswith("did you mean"):
            hint = f"train one first (hiresvae train configs/...) or take {shipped()[0]!r}"
        raise UserError(f"model {name!r} does not exist; {hint}")
    if (path / "checkpoints").exists() or (path / "config.yaml").exists():
        raise UserError(f"{name!r} has no model yet: its training has not reached a first snapshot")
    raise UserError(f"{name!r} is no run folder and no model folder: it has no config.json")


def _no_best(name: str) -> UserError:
    return UserError(
        f"{name!r} keeps no best model: only a run folder does, from its first snapshot on, "
        "unless metrics.keep_best is 'none' or fewer than 2 pictures are held out; nearest "
        "valid: the last"
    )


def _of_a_run(folder: Path) -> bool:
    """Says whether a model folder lies in the folder of the run that trained it."""
    folder = folder.resolve()
    return folder.name in ("model", "model_best") and (folder.parent / "config.yaml").is_file()


def shipped() -> list[str]:
    """Returns the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


@dataclass(frozen=True)
class Words:
    """What ``config.json``, ``labels.json`` and the card of a model folder say.

    Attributes:
        settings: of the run that trained it; read from elsewhere than that run's folder, without
            ``data.cache``: whoever gave a model away does not decide where files are written.
        size: side of the pictures.
        channels: 1 or 3.
        images_seen: in training.
        classes: names of the labels.
        shares: how frequent each was in training.
        card: Markdown, "" where there is none.
    """

    settings: Settings
    size: int
    channels: int
    images_seen: int
    classes: tuple[str, ...]
    shares: tuple[float, ...]
    card: str


def read_words(folder: Path) -> Words:
    """Returns what a model folder says of its model.

    Raises:
        UserError: it is of another format, or its settings are not known here.
        OSError, ValueError, LookupError, TypeError: a file is missing or broken.
    """
    config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    labels: Any = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    if config["format"] != FORMAT:
        raise UserError(
            f"{folder} has model format {config['format']}; this version reads {FORMAT}"
        )
    try:
        settings = validate(dict(config["settings"]))
    except SettingsError as error:
        raise UserError(f"model folder {folder}: config.json: {error}") from error
    if not _of_a_run(folder):
        data = settings.data.model_copy(update={"cache": None})
        settings = settings.model_copy(update={"data": data})
    size, channels = int(config["size"]), int(config["channels"])
    if not 1 <= size <= MAX_SIZE or channels not in (1, 3):
        raise ValueError(f"config.json: pictures of {size} px in {channels} channels")
    classes = tuple(str(name) for name in labels["classes"])
    shares = tuple(float(share) for share in labels["shares"])
    if shares and not settings.model.conditional:
        raise ValueError("labels.json: shares of labels, but the model was trained without labels")
    if settings.model.conditional and len(shares) != len(classes):
        raise ValueError(f"labels.json: {len(shares)} shares for {len(classes)} labels")
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError("labels.json: a share is not between 0 and 1")
    card = folder / "README.md"
    return Words(
        settings,
        size,
        channels,
        int(config["images_seen"]),
        classes,
        shares,
        card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
    )


def write_words(folder: Path, words: Words) -> None:
    """Writes what a model folder says of its model, as `read_words` reads it."""
    config = {
        "format": FORMAT,
        "size": words.size,
        "channels": words.channels,
        "images_seen": words.images_seen,
        "settings": words.settings.model_dump(mode="json"),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    labels = {"classes": words.classes, "shares": words.shares}
    (folder / "labels.json").write_text(json.dumps(labels, indent=2) + "\n")
    if words.card:
        (folder / "README.md").write_text(printable(words.card), encoding="utf-8")
