"""Model folders and checkpoints that somebody else wrote: a model, or one sentence."""

import json
import pickle
import struct

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hiresvae.errors import UserError
from hiresvae.generator import load
from hiresvae.training import checkpoint
from tests.hostile.examples import hostile

# Not st.floats(): a training in the same process has turned the smallest ones off.
FLOATS = [0.5, -1.5, 1e308, float("inf"), float("nan")]
numbers = st.integers() | st.sampled_from([0, -1, 3, 16, 2**31, 2**62, *FLOATS])
plain = st.none() | st.booleans() | numbers | st.text(max_size=5)
plain |= st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=5), plain, max_size=2)
KEYS = [
    ("config.json", ("size",)), ("config.json", ("channels",)), ("config.json", ("format",)),
    ("config.json", ("images_seen",)), ("config.json", ("settings",)),
    ("config.json", ("settings", "model", "width")), ("config.json", ("settings", "data")),
    ("config.json", ("settings", "model", "latent_dim")),
    ("labels.json", ("classes",)), ("labels.json", ("shares",)),
]  # fmt: skip


def usable_or_refused(folder):
    """Loads a folder; where that is refused it is by one line, else a picture can be drawn."""
    try:
        painter = load(folder, device="cpu")
    except UserError as error:
        assert str(error) and "\n" not in str(error)
        return False
    assert painter.sample(1).shape == (1, 3, 16, 16)
    return True


def change(folder, file, keys, value):
    content = json.loads((folder / file).read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / file).write_text(json.dumps(content))


def test_the_model_itself_can_be_used(folder):
    assert usable_or_refused(folder)


@hostile(25, where=st.sampled_from(KEYS), value=plain)
def test_any_value_in_the_words_is_a_model_or_a_sentence(painter, folder, where, value):
    painter.save(folder)
    change(folder, *where, value)
    usable_or_refused(folder)


@hostile(
    25,
    file=st.sampled_from(["model.safetensors", "prior.safetensors"]),
    # Most places in the first bytes: there the length and the header are.
    harm=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 2000),
)
def test_any_bytes_in_weights_are_a_model_or_a_sentence(painter, folder, file, harm, cut):
    painter.save(folder)
    raw = bytearray((folder / file).read_bytes())
    for place, value in harm:
        raw[place % len(raw)] = value
    (folder / file).write_bytes(raw[:cut])
    usable_or_refused(folder)


def header(words, size=None):
    raw = words if isinstance(words, bytes) else json.dumps(words).encode()
    return struct.pack("<Q", len(raw) if size is None else size) + raw


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
MALFORMED = {
    "a header beyond all memory": header({}, 2**63),
    "a header beyond the file": header({"a": ONE}, 10**6),
    "brackets without end": header(b"[" * 100_000),
    "an unknown kind": header({"a": ONE | {"dtype": "X1"}}) + bytes(4),
    "offsets beyond the file": header({"a": ONE | {"data_offsets": [0, 2**40]}}) + bytes(4),
    "offsets that run back": header({"a": ONE | {"data_offsets": [4, 0]}}) + bytes(4),
    "two tensors in one place": header({"a": ONE, "b": ONE}) + bytes(4),
    "a shape beyond the bytes": header({"a": ONE | {"shape": [2**40]}}) + bytes(4),
    "a shape that overflows": header({"a": ONE | {"shape": [2**33, 2**33]}}) + bytes(4),
    "no tensor at all": header({}),
}


@pytest.mark.parametrize("name", ["model.safetensors", "prior.safetensors"])
@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_weights_are_a_sentence(folder, name, raw, nothing_beside):
    (folder / name).write_bytes(raw)
    with nothing_beside():
        assert not usable_or_refused(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("settings", "model", "width"), 4096),
        (("settings", "model", "max_width"), 4096),
        (("settings", "model", "latent_dim"), 65536),
        (("size",), 2048),
        (("size",), 0),
        (("size",), float("inf")),
        (("channels",), 10**9),
        (("images_seen",), float("inf")),
    ],
)
def test_words_that_claim_too_much_cost_no_memory(folder, keys, value, monkeypatch):
    """Refused before a network is built: of one that large no byte may be asked for."""
    asked, empty = [], torch.nn.init.kaiming_uniform_

    def noted(tensor, *given, **chosen):
        asked.append(tensor.numel() if tensor.device.type != "meta" else 0)
        return empty(tensor, *given, **chosen)

    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", noted)
    change(folder, "config.json", keys, value)
    assert not usable_or_refused(folder)
    assert sum(asked) == 0


def test_nesting_without_end_is_a_sentence(folder):
    for name in ("config.json", "labels.json"):
        whole = (folder / name).read_text()
        (folder / name).write_text("[" * 100_000)
        assert not usable_or_refused(folder)
        (folder / name).write_text(whole)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["model.safetensors", "prior.safetensors"])
def test_weights_that_are_not_finite_are_named(folder, refused, name, value):
    tensors = load_file(folder / name)
    key = "means" if "prior" in name else max(tensors, key=lambda k: tensors[k].numel())
    tensors[key].view(-1)[0] = value
    save_file(tensors, folder / name)
    with refused("is broken", f"{name}: {key} has numbers that are not finite"):
        load(folder, device="cpu")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"means": torch.zeros(2, 5), "scale_tril": torch.eye(5)[None]}, "5 numbers for latents"),
        ({"means": torch.zeros(3, 4), "log_weights": torch.zeros(3)}, "3 classes for 2 labels"),
        ({"log_weights": torch.zeros(9)}, "do not fit its 2 means"),
        ({"scale_tril": torch.eye(4)}, "do not fit its 2 means"),
        ({"means": torch.zeros(0, 4)}, "means of shape (0, 4)"),
        ({"kind": torch.tensor(list(b"evil"), dtype=torch.uint8)}, "the kind 'evil' is not known"),
    ],
)
def test_a_prior_that_does_not_fit_is_a_sentence(folder, refused, changed, words):
    tensors = load_file(folder / "prior.safetensors") | changed
    save_file(tensors, folder / "prior.safetensors")
    with refused("is broken", words):
        load(folder, device="cpu")


@pytest.mark.parametrize("shares", [[1.0], [0.5, -0.5], [0.5, float("nan")]])
def test_shares_that_are_none_are_a_sentence(folder, refused, shares):
    change(folder, "labels.json", ("shares",), shares)
    with refused("is broken", "share"):
        load(folder, device="cpu")


@pytest.mark.parametrize("file", ["optimizer.bin", "random_states_0.pkl", "model.safetensors"])
def test_a_pickle_in_a_checkpoint_runs_nothing(make_trainer, harm, tmp_path, file):
    """Its manifest vouches for it: whoever can write the one can write the other."""
    trainer = make_trainer("adversary=null")
    trainer._checkpoint()
    (place,) = checkpoint.saved(trainer.run.checkpoints)
    (place / file).write_bytes(pickle.dumps(harm(), protocol=2))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["sha256"][file] = checkpoint._digest(place / file)
    (place / "manifest.json").write_text(json.dumps(manifest))
    if file == "random_states_0.pkl":  # noise comes from the seed: nobody needs these
        trainer.resume()
    else:
        with pytest.raises(UserError, match=r"checkpoint .* add --fresh to start again") as caught:
            trainer.resume()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()
