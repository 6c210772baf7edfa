import shutil

import pytest
import torch

from hiresvae import hub
from hiresvae.generator import PictureModel, load


class Stub:
    """The Hub as a folder."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def api(self, token=None):
        self.asked.append(("token", token))
        return self

    def create_repo(self, repo, *, repo_type, private, exist_ok):
        self.asked.append((repo, repo_type, private, exist_ok))

    def upload_folder(self, *, folder_path, repo_id, repo_type, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return f"https://hub/{repo_id}"

    def snapshot_download(self, repo, *, revision, allow_patterns):
        self.asked.append((repo, revision, tuple(allow_patterns)))
        if not (self.folder / repo).exists():
            raise OSError("404: no such repository\nand a long story")
        return str(self.folder / repo)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    import huggingface_hub

    made = Stub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", made.api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_a_model_goes_to_the_hub_and_comes_back_with_its_card(trained, stub):
    painter = load(trained, device="cpu")
    assert painter.push_to_hub("org/tiny", private=True) == "https://hub/org/tiny"
    assert ("org/tiny", "model", True, True) in stub.asked
    for again in (
        PictureModel.from_pretrained("org/tiny", device="cpu"),
        load("hf:org/tiny", device="cpu"),
    ):
        assert torch.equal(again.sample(2, seed=1), painter.sample(2, seed=1))
        assert again.card == painter.card
        assert "hiresvae sample" in again.card
    asked = {name for name in stub.asked[-1][2]}
    assert not any(name.endswith((".py", ".bin", ".pkl", "*")) for name in asked), "data alone"


def test_a_folder_is_a_pretrained_model_too(trained):
    assert PictureModel.from_pretrained(trained, device="cpu").model.size == 16


def test_what_the_hub_refuses_is_a_sentence(stub, refused, tmp_path):
    with refused("hf:org/none", "404: no such repository"):
        load("hf:org/none")
    stub.upload_folder = stub.snapshot_download = lambda **_: (_ for _ in ()).throw(OSError("401"))
    with refused("org/x could not be put on the Hub: 401"):
        hub.upload(tmp_path, "org/x")
