import copy
import dataclasses
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hiresvae.generator import load
from hiresvae.priors import Density


@pytest.fixture(scope="module")
def painter(trained):
    return load(trained, device="cpu")


@pytest.fixture(scope="module")
def cats(labelled):
    return load(labelled, device="cpu")


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained / "model", tmp_path / "model")


@pytest.mark.parametrize("prior", ["fitted", "standard"])
def test_picture_i_depends_on_seed_and_i_only(painter, prior):
    whole = painter.sample(7, seed=3, prior=prior, batch_size=7)
    assert whole.shape == (7, 3, 16, 16)
    assert whole.dtype == torch.uint8
    # Another number of rows may round another way: by one level of 255 at most.
    for size in (1, 2, 3):
        other = painter.sample(7, seed=3, prior=prior, batch_size=size).int()
        assert (other - whole.int()).abs().max() <= 1
    tail = painter.sample(3, seed=3, prior=prior, start=4).int()
    assert (tail - whole[4:].int()).abs().max() <= 1
    assert not torch.equal(painter.sample(7, seed=4, prior=prior), whole)


def test_batches_of_large_pictures_are_small_unless_told(painter, monkeypatch):
    monkeypatch.setattr("hiresvae.batching.CPU_PIXELS", 2 * 16**2)
    pictures = painter.sample(5, prior="standard")
    assert [len(x) for x in painter.sample_batches(5)] == [2, 2, 1]
    assert [len(x) for x in painter.sample_batches(5, batch_size=4)] == [4, 1]
    assert [len(x) for x in painter.reconstruct_batches(pictures)] == [2, 2, 1]


def test_temperature_0_draws_one_picture(painter):
    cold = painter.sample(4, prior="standard", temperature=0.0).int()
    assert (cold - cold[:1]).abs().max() <= 1


def test_truncation_moves_the_top_latents_towards_the_mean_of_the_whole_prior(painter):
    means = torch.tensor([[-2.0] * 8, [4.0] * 8])
    weights = torch.tensor([0.25, 0.75]).log()
    mixture = Density("mixture", weights, means, 0.1 * torch.eye(8)[None])
    model = dataclasses.replace(painter, prior=mixture)
    chosen = {"seed": 2, "prior": "fitted"}
    (whole,) = model.latents([0, 1, 2, 3], **chosen)
    (half,) = model.latents([0, 1, 2, 3], truncation=0.5, **chosen)
    torch.testing.assert_close(half, 2.5 + 0.5 * (whole - 2.5))
    assert torch.equal(model.latents([0, 1, 2, 3], truncation=1.0, **chosen)[0], whole)
    (cold,) = model.latents([0, 1, 2, 3], temperature=0.0, **chosen)
    assert set(cold.flatten().tolist()) <= {-2.0, 4.0}, "a temperature keeps the components"
    (standard,) = model.latents([0, 1], prior="standard", truncation=0.5)
    torch.testing.assert_close(standard, 0.5 * model.latents([0, 1], prior="standard")[0])


@pytest.mark.parametrize("truncation", [-0.1, 5, float("nan")])
def test_truncation_is_a_share(painter, refused, truncation):
    with refused("truncation", "must be from 0 to 1"):
        painter.sample(1, truncation=truncation)


def test_truncation_of_a_label_is_towards_its_class(cats):
    labels = torch.tensor([1, 0])
    assert cats.prior.kind == "classes"
    (none,) = cats.latents([0, 1], truncation=0.0, labels=labels)
    torch.testing.assert_close(none.flatten(1), cats.prior.means[labels])


def test_saved_and_loaded_in_a_fresh_process_it_makes_the_same(painter, tmp_path, python):
    (tmp_path / "model").mkdir()
    painter.save(tmp_path / "model")
    code = (
        "import sys, torch; torch.set_num_threads(1); from hiresvae import load;"
        "from safetensors.torch import save_file;"
        "save_file({'made': load(sys.argv[1], device='cpu').sample(5, seed=11)}, sys.argv[2])"
    )
    done = python("-c", code, str(tmp_path / "model"), str(tmp_path / "made"))
    assert done.returncode == 0, done.stderr
    assert torch.equal(load_file(tmp_path / "made")["made"], painter.sample(5, seed=11))


def test_pictures_come_back_better_than_by_chance(painter):
    originals = torch.from_numpy(painter.data().pictures[:12].copy())
    remade = painter.reconstruct(originals, batch_size=5).float()
    assert remade.shape == originals.shape
    own = (remade - originals).square().mean()
    assert own < (remade - originals.roll(1, 0)).square().mean(), "nearer to its own original"
    latents = painter.encode(originals)
    assert [tuple(z.shape[1:]) for z in latents] == painter.model.latent_shapes
    assert (painter.decode(latents).float() - remade).abs().max() <= 1
    bound = painter.elbo(originals)
    assert bound.shape == (12,)
    assert bound.isfinite().all()


def test_a_model_with_labels_guesses_them_and_says_where_it_cannot(cats, refused):
    originals = torch.from_numpy(cats.data().pictures[:6].copy())
    labels = cats.guess_labels(originals)
    latents = cats.encode(originals)
    assert all(map(torch.equal, latents, cats.encode(originals, labels)))
    assert torch.equal(cats.decode(latents, labels), cats.reconstruct(originals))
    assert torch.equal(cats.elbo(originals, labels), cats.elbo(originals))
    with refused("trained with labels", "guess_labels"):
        cats.decode(latents)
    with refused("shape (5,)", "6 pictures need int64 of shape (6,)"):
        cats.encode(originals, labels[:5])
    with refused("labels 0 to 99 do not fit", f"0 to {len(cats.classes) - 1}"):
        cats.decode(latents, torch.tensor([0, 0, 0, 0, 0, 99]))
    with refused("torch.float32"):
        cats.elbo(originals, labels.float())


def test_a_model_without_labels_ignores_them(painter, refused):
    originals = torch.from_numpy(painter.data().pictures[:3].copy())
    ones = torch.ones(3, dtype=torch.int64)
    assert torch.equal(painter.decode(painter.encode(originals, ones), ones),
                       painter.decode(painter.encode(originals)))  # fmt: skip
    with refused("trained without labels"):
        painter.guess_labels(originals)


def test_labels_and_latents_follow_the_model_to_its_device(cats):
    """Without a second device at hand: what is on the CPU meets a model that claims another."""
    moved = dataclasses.replace(cats, model=copy.deepcopy(cats.model).to("meta"))
    originals = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    labels = torch.zeros(2, dtype=torch.int64)
    latents = moved.encode(originals, labels)
    assert {z.device.type for z in latents} == {"meta"}
    on_cpu = [torch.zeros(z.shape) for z in latents]
    for call in (lambda: moved.decode(on_cpu, labels), lambda: moved.elbo(originals, labels)):
        try:
            call()
        except (NotImplementedError, RuntimeError) as error:
            assert "Expected all tensors to be on the same device" not in str(error)


def test_a_device_that_is_not_there_is_a_sentence(folder, refused):
    with refused("device 'gpu' is not on this machine", "'cpu'"):
        load(folder, device="gpu")


@pytest.fixture
def holding(monkeypatch):
    """Makes a model whose walk has room for so many rows, as on a GPU; returns what was tried."""

    def make(painter, room):
        tried, walk = [], painter.model.walk

        def walked(draw, labels, count, *rest):
            tried.append(count)
            if count > room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return walk(draw, labels, count, *rest)

        monkeypatch.setattr(painter.model, "walk", walked)
        return tried

    return make


def test_samples_come_in_batches_that_memory_holds(painter, holding):
    # In batches of as many as will fit: sums of others may round to the next grey level.
    enough = painter.sample(40, seed=3, batch_size=4)
    tried = holding(painter, 5)
    assert torch.equal(painter.sample(40, seed=3), enough)
    assert tried == [32, 16, 8, *[4] * 10], "halved until it fits, and kept to"


def test_pictures_are_encoded_and_remade_as_memory_holds(painter, cats, holding):
    originals = torch.from_numpy(painter.data().pictures[:9].copy())
    codes, remade = painter.encode(originals), painter.reconstruct(originals)
    holding(painter, 2)
    assert alike(painter.reconstruct(originals), remade)
    for z, of_all in zip(painter.encode(originals), codes, strict=True):
        torch.testing.assert_close(z, of_all)
    labelled = torch.from_numpy(cats.data().pictures[:9].copy())
    guessed, remade = cats.guess_labels(labelled), cats.reconstruct(labelled)
    holding(cats, 2)
    assert alike(cats.reconstruct(labelled), remade), "so are those whose labels it guesses"
    assert alike(cats.reconstruct(labelled, guessed), remade)


def alike(pictures, others):
    """Sums of another batch size may be rounded otherwise, which moves a value by one at most."""
    return int((pictures.int() - others.int()).abs().max()) <= 1


def test_memory_that_holds_no_picture_says_what_can_be_done(painter, refused, holding, monkeypatch):
    tried = holding(painter, 0)
    with refused("memory ran out", "trained at a smaller data.size than 16"):
        painter.sample(40)
    assert tried == [32, 16, 8, 4, 2, 1]
    monkeypatch.setattr(type(painter), "device", torch.device("meta"))
    assert painter.less_memory.startswith("--device cpu, or a model")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_in_place_of_a_file_is_a_sentence(folder, refused, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    with refused(str(folder)):
        load(folder)


def test_a_folder_that_may_not_be_looked_into_is_a_sentence(folder, refused, monkeypatch):
    def locked(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    with refused("File name too long"):
        load("a" * 300)
    monkeypatch.setattr(type(folder), "read_text", locked)
    with refused(str(folder), "cannot be read (Permission denied)"):
        load(folder)
    monkeypatch.setattr(type(folder), "is_file", locked)
    with refused(str(folder), "cannot be read (Permission denied)"):
        load(folder)


def test_a_card_of_names_in_another_encoding_is_written(painter, tmp_path):
    dataclasses.replace(painter, card="labels: caf\udce9").save(tmp_path)
    assert (tmp_path / "README.md").read_text() == "labels: caf\\udce9"


def test_pictures_of_another_shape_are_refused(painter, refused):
    with refused("(3, 8, 8)", "(3, 16, 16)"):
        painter.reconstruct(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with refused("at least 1"):
        painter.sample(0)


def test_latents_and_priors_that_are_none_of_its_own_are_refused(painter, cats, refused):
    with refused("rung 0 have the shape (1, 3)", "nearest valid: (1, 8, 1, 1)"):
        painter.decode([torch.zeros(1, 3)])
    with refused("rung 0 have the shape (1, 3)"):
        cats.decode([torch.zeros(1, 3)], torch.zeros(1, dtype=torch.int64))
    with refused("prior 'fited' is not known", "did you mean 'fitted'?"):
        painter.sample(2, prior="fited")
    with refused("prior 'foo'", "valid are 'fitted', 'standard'"):
        painter.latents([0], prior="foo")


def test_labels_are_drawn_as_often_as_they_came_or_as_asked(cats):
    assert cats.conditional
    assert len(cats.classes) == 8
    assert sum(cats.shares) == pytest.approx(1)
    drawn = cats.drawn_labels(list(range(4000)))
    counts = torch.bincount(drawn, minlength=8) / 4000
    assert torch.allclose(counts, torch.tensor(cats.shares), atol=0.03)
    one, other = (cats.sample(2, label=name) for name in cats.classes[:2])
    assert not torch.equal(one, other)
    originals = torch.from_numpy(cats.data().pictures[:4].copy())
    assert cats.reconstruct(originals).shape == originals.shape
    assert set(cats.guess_labels(originals).tolist()) <= set(range(8))


def test_a_label_that_is_not_there_is_refused(cats, painter, refused):
    with refused("'haystack'", "did you mean 'haystacks'?"):
        cats.sample(1, label="haystack")
    with refused("'sea'", "trained without labels"):
        painter.sample(1, label="sea")


@pytest.mark.parametrize(
    "name", ["config.json", "labels.json", "model.safetensors", "prior.safetensors"]
)
def test_a_file_that_lacks_or_is_cut_is_a_sentence(folder, refused, name):
    whole = (folder / name).read_bytes()
    for cut in (b"", whole[:7], whole[: len(whole) // 2], b"\xff\xfe" + whole):
        (folder / name).write_bytes(cut)
        with refused(str(folder), "is broken"):
            load(folder)
    (folder / name).unlink()
    with refused(name if name != "config.json" else "no config.json"):
        load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "prior.safetensors"])
def test_a_pickle_in_disguise_runs_nothing(folder, refused, name, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    (folder / name).write_bytes(pickle.dumps(Harm()))
    with refused("is broken"):
        load(folder)
    torch.save({"a": torch.zeros(1)}, folder / name)
    with refused("is broken"):
        load(folder)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"format": 99}),
        ("config.json", {"size": "wide"}),
        ("config.json", {"images_seen": None}),
        ("config.json", {"settings": {"model": {"widht": 4}}}),
        ("labels.json", {"shares": ["many"]}),
        ("labels.json", {"classes": 3}),
    ],
)
def test_wrong_words_in_a_file_are_a_sentence(folder, refused, file, change):
    content = json.loads((folder / file).read_text()) | change
    (folder / file).write_text(json.dumps(content))
    with refused(str(folder)):
        load(folder)


def test_weights_of_another_model_are_a_sentence(folder, refused):
    weights = load_file(folder / "model.safetensors")
    name, tensor = next(iter(weights.items()))
    save_file(weights | {name: tensor.new_zeros(99)}, folder / "model.safetensors")
    with refused("is broken", "size mismatch", "99"):
        load(folder)


def test_a_setting_that_is_not_known_here_is_named(folder, refused):
    content = json.loads((folder / "config.json").read_text())
    content["settings"]["model"] |= {"widht": 4}
    (folder / "config.json").write_text(json.dumps(content))
    with refused("unknown key 'model.widht': did you mean 'model.width'?"):
        load(folder)
    (folder / "config.json").write_text(json.dumps(content | {"settings": "none"}))
    with refused("is broken"):
        load(folder)


def test_names_that_mean_no_model(trained, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("does not exist", "hiresvae train"):
        load("runs/monet")
    (tmp_path / "runs").mkdir()
    shutil.copytree(trained / "model", tmp_path / "runs" / "monet" / "model")
    with refused("did you mean 'runs/monet'?"):
        load("runs/monnet")
    (tmp_path / "empty").mkdir()
    with refused("no config.json"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "config.yaml").write_text("name: x")
    with refused("has no model yet"):
        load(tmp_path / "empty")
