import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from hiresvae import generator
from hiresvae.generator import load
from hiresvae.images import to_float
from hiresvae.uses import parts
from hiresvae.uses.parts import Part, example, export, load_part


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_comes_back_by_itself_and_gives_the_same(painter, part, tmp_path):
    export(painter, tmp_path, part, "safetensors")
    ours, again = Part(painter.model, part), load_part(tmp_path, part)
    given = example(ours, 3)
    one, other = ours(*given), again(*given)
    pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
    assert all((a - b).abs().max() < 1e-5 for a, b in pairs)
    kept = set(load_file(tmp_path / f"{part}.safetensors"))
    whole = set(painter.model.state_dict())
    assert kept < whole, "only what the part needs"
    wrong = "encoder." if part == "decoder" else "decoder.head."
    assert not any(name.startswith(wrong) for name in kept)


def test_encoder_and_decoder_together_are_the_model(make_painter, pictures, tmp_path):
    painter = make_painter()
    for part in ("encoder", "decoder"):
        export(painter, tmp_path, part, "safetensors")
    latents = load_part(tmp_path, "encoder")(to_float(pictures))
    made = load_part(tmp_path, "decoder")(*latents)
    assert (made - Part(painter.model, "all")(to_float(pictures))).abs().max() < 1e-5


@pytest.mark.parametrize("part", ["all", "encoder", "decoder"])
def test_torchscript_gives_the_same_for_any_number_of_pictures(painter, part, tmp_path):
    path, note = export(painter, tmp_path, part, "torchscript")
    words = json.loads(note.read_text())
    piece = Part(painter.model, part)
    assert words["inputs"] == piece.inputs
    with pytest.warns(FutureWarning) if torch.__version__ >= "2.9" else torch.no_grad():
        again = torch.jit.load(path)
    for count in (1, 4):
        one, other = piece(*example(piece, count)), again(*example(piece, count))
        pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
        assert all((a - b).abs().max() < 1e-5 for a, b in pairs)


def test_the_whole_as_safetensors_is_a_model_folder(make_painter, pictures, tmp_path):
    painter = make_painter()
    export(painter, tmp_path, "all", "safetensors")
    again = load(tmp_path, device="cpu")
    assert torch.equal(again.reconstruct(pictures), painter.reconstruct(pictures))


@pytest.mark.parametrize("part", ["all", "encoder", "decoder"])
def test_onnx_gives_the_same_for_any_number_of_pictures(painter, part, tmp_path, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path, note = export(painter, tmp_path, part, "onnx")
    assert not capsys.readouterr().out, "the exporter talks of what it does"
    words, piece = json.loads(note.read_text()), Part(painter.model, part)
    session = runtime.InferenceSession(str(path))
    assert [one.name for one in session.get_inputs()] == words["inputs"]
    assert [one.name for one in session.get_outputs()] == words["outputs"]
    for count in (1, 4):
        given = example(piece, count)
        feed = {k: v.numpy() for k, v in zip(piece.inputs, given, strict=True)}
        ours, theirs = piece(*given), session.run(None, feed)
        pairs = zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True)
        assert all(abs(a.numpy() - b).max() < 1e-5 for a, b in pairs)


def test_onnx_that_differs_is_not_handed_out(make_painter, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(parts, "_running", lambda piece, path: lambda *given: 0 * piece(*given))
    with pytest.raises(RuntimeError, match="the exported decoder differs by"):
        export(make_painter(), tmp_path, "decoder", "onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_onnx_says_how_to_get_it(make_painter, tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with refused("hiresvae[onnx]"):
        export(make_painter(), tmp_path, "decoder", "onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["all", "encoder", "decoder"])
def test_weights_that_come_back_as_others_are_our_fault(make_painter, part, tmp_path, monkeypatch):
    def broken(weights, file):
        halved = {k: v / 2 if v.is_floating_point() else v for k, v in weights.items()}
        save_file(weights if file.stem == "prior" else halved, file)

    monkeypatch.setattr(generator if part == "all" else parts, "save_file", broken)
    with pytest.raises(RuntimeError, match=f"the exported {part} differs by"):
        export(make_painter(), tmp_path, part, "safetensors")


def test_broken_parts_are_a_sentence(make_painter, tmp_path, refused):
    with refused("has no decoder.safetensors", "--part decoder"):
        load_part(tmp_path, "decoder")
    export(make_painter(), tmp_path, "decoder", "safetensors")
    weights = load_file(tmp_path / "decoder.safetensors")
    name = next(iter(weights))
    save_file({k: v for k, v in weights.items() if k != name}, tmp_path / "decoder.safetensors")
    with refused("is broken"):
        load_part(tmp_path, "decoder")


def test_a_part_that_claims_more_than_it_holds_costs_no_memory(make_painter, tmp_path, refused):
    export(make_painter(), tmp_path, "decoder", "safetensors")
    file = tmp_path / "decoder.json"
    honest = json.loads(file.read_text())
    for claim in ({"max_width": 4096, "width": 4096}, {"latent_dim": 65_536}):
        file.write_text(json.dumps(honest | {"model": honest["model"] | claim}))
        with refused("is broken"):
            load_part(tmp_path, "decoder")
    for size in (10**9, -8, "a"):
        file.write_text(json.dumps(honest | {"size": size}))
        with refused("is broken"):
            load_part(tmp_path, "decoder")


def test_a_part_needs_no_weights_of_the_other(make_painter, tmp_path):
    painter = make_painter()
    export(painter, tmp_path, "encoder", "safetensors")
    stored = load_file(tmp_path / "encoder.safetensors")
    assert len(stored) < len(painter.model.state_dict())
    assert load_part(tmp_path, "encoder")(torch.zeros(2, 3, 16, 16))[0].shape[0] == 2
