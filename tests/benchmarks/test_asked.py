from asked import refuse_files, refuse_unmeasurable


def test_what_evaluate_refuses_is_refused_before(refused, network):
    with refused("take 8 or more"):
        refuse_unmeasurable(7, "none", "all")
    with refused("did you mean 'texture'?"):
        refuse_unmeasurable(8, "none", "textures")
    with refused("nor a TorchScript file"):
        refuse_unmeasurable(8, f"{network}.gone", "distance")
    refuse_unmeasurable(8, network, "all")
    refuse_unmeasurable(8, f"{network}.gone", "texture,paired")


def test_a_network_that_is_not_named_is_not_looked_for(monkeypatch):
    looked: list[object] = []
    monkeypatch.setattr("asked.feature_network", lambda *asked: looked.append(asked))
    refuse_unmeasurable(8, "auto", "all")
    assert not looked


def test_files_are_no_folders(tmp_path, refused):
    file = tmp_path / "file"
    file.write_text("")
    refuse_files(runs=tmp_path, out=tmp_path / "new" / "folder")
    with refused(f"--out {file / 'in'}", f"{file} is a file"):
        refuse_files(runs=tmp_path, out=file / "in")
