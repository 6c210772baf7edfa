from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hiresvae.adversarial import AdversarySettings
from hiresvae.configuration import (
    MAX_BYTES,
    dump_settings,
    load_settings,
    parse_overrides,
    settings_rows,
    settings_table,
)
from hiresvae.errors import UserError
from hiresvae.settings import Settings


@pytest.fixture
def config(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "run.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "\ufeff# a byte order mark"])
def test_an_empty_file_means_the_defaults(config, text):
    assert load_settings(config(text)) == Settings()


def test_values_arrive_with_their_types(config):
    text = """
    name: monet
    data: {size: 32, mirror: no, labels: clusters:8}
    model: {attention: [16], scale: 5e-2, conditional: true}
    adversary: {gamma: 1e-1}
    training: {lr: 4e-4, images: 2e5, precision: no, betas: [0.5, 0.9], clip: null}
    """
    settings = load_settings(config(text))
    assert settings.name == "monet"
    assert (settings.data.size, settings.data.mirror) == (32, False)
    assert (settings.model.attention, settings.model.scale) == ([16], 0.05)
    assert settings.adversary is not None
    assert settings.adversary.gamma == 0.1
    training = settings.training
    assert (training.lr, training.images, training.precision) == (4e-4, 200_000, "no")
    assert (training.betas, training.clip) == ((0.5, 0.9), None)


def test_text_may_look_like_a_number(config):
    settings = load_settings(config("name: '2024'\ndata: {source: '7', cache: '8'}"))
    assert (settings.name, settings.data.source, settings.data.cache) == ("2024", "7", "8")


def test_overrides_change_make_and_remove(config):
    path = config("data: {size: 32}\nadversary: {weight: 0.9}")
    settings = load_settings(path, ["data.size=16", "training.lr=1e-3", "model.attention=[8]"])
    assert (settings.data.size, settings.training.lr) == (16, 1e-3)
    assert settings.model.attention == [8]
    assert load_settings(path, ["adversary=null"]).adversary is None
    assert load_settings(path, {"adversary": None}).adversary is None
    made = load_settings(path, ["adversary=null", "adversary.weight=0.3"]).adversary
    assert made == AdversarySettings(weight=0.3)
    made = load_settings(config(""), ["adversary={}"]).adversary
    assert made == AdversarySettings()
    assert load_settings(path, {"data.source": Path("a/b")}).data.source == str(Path("a/b"))
    assert load_settings(path, ["data.size=16", "data.size=64"]).data.size == 64
    assert load_settings(path, ["data.source=a=b"]).data.source == "a=b"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: {sise: 64}", "unknown key 'data.sise': did you mean 'data.size'?"),
        ("trainnig: {lr: 1}", "unknown key 'trainnig': did you mean 'training'?"),
        ("size: 64", "unknown key 'size': did you mean 'data.size'?"),
        ("lr: 1", "unknown key 'lr': did you mean 'adversary.lr' or 'training.lr'?"),
        ("prior: {zzz: 1}", "unknown key 'prior.zzz': valid are 'kind', 'components', "),
        ("adversary: {weigth: 1}", "unknown key 'adversary.weigth': did you mean 'adversary.w"),
        ("data: {size: x, sise: 1}", "unknown key 'data.sise'"),
        ("data: {size: 4}", "data.size is 4, but must be a whole number from 8 to 2048; nearest "),
        ("data: {size: 9999}", "data.size is 9999, .*; nearest is 2048"),
        ("data: {size: large}", "data.size is 'large', but must be a whole number"),
        ("data: {size: 64.5}", "data.size is 64.5, but must be a whole number"),
        ("data: {size: '64'}", "data.size is '64', but must be a whole .*; leave out the quotes"),
        ("data: {limit: '5'}", "data.limit is '5', but must be .* or null; leave out the quotes"),
        ("model: {scale: '0.05'}", "model.scale is '0.05', but must be .*; leave out the quotes"),
        ("model: {attention: ['16']}", r"model.attention is \['16'\], .*; leave out the quotes"),
        ("training: {betas: [0, '0.9']}", "training.betas is .*; leave out the quotes"),
        ("training: {lr: nan}", "training.lr is 'nan', but must be a number[^;]*$"),
        ("training: {lr: '1_0'}", "training.lr is '1_0', .*; leave out the quotes"),
        ("model: {latent_dim: 1000000000000}", "from 1 to 65536; nearest is 65536"),
        ("model: {width: 100000}", "model.width is 100000, .* nearest is 4096"),
        ("training: {batch_size: 1000000}", "nearest is 65536"),
        ("model: {hidden: [1000000000]}", "model.hidden has 1000000000, .* valid: 65536"),
        ("data: {size: true}", "data.size is true, but must be a whole number"),
        ("data: {size: [64]}", r"data.size is \[64\], but must be a whole number"),
        ("data: {limit: 0}", "data.limit is 0, .* of 1 or more or null; nearest is 1"),
        ("data: {channels: true}", "data.channels is true, but must be 'auto' or 1 or 3"),
        ("data: {channels: 2}", "data.channels is 2, but must be 'auto' or 1 or 3"),
        ("data: {crop: centre}", "data.crop is 'centre', .*; did you mean 'center'?"),
        ("data: {mirror: 1}", "data.mirror is 1, but must be true or false"),
        ("data: {device_cache: 1}", "data.device_cache is 1, but must be 'auto' or true or false"),
        ("data: {source: 7}", "data.source is 7, but must be text; put it in quotes: '7'"),
        ("data: 64", "data is 64, but must be a section with keys such as 'source'"),
        ("data:", "data is null, but .*; leave it out for the defaults"),
        ("adversary: true", "adversary is true, but must be a section with keys such as 'loss'"),
        ("model: {scale: optimum}", "model.scale is 'optimum', .*; did you mean 'optimal'?"),
        ("model: {attention: 16}", "model.attention is 16, but must be a list, each a whole"),
        ("model: {attention: [a]}", r"model.attention\[0\] is 'a', but must be a whole number"),
        ("adversary: {fakes: []}", r"adversary.fakes is \[\], but must be a list, .*; not empty"),
        (
            "adversary: {fakes: [fited]}",
            r"adversary.fakes\[0\] is 'fited', .*; did you mean 'fitted'",
        ),
        ("training: {betas: [1]}", r"training.betas is \[1\], but must be a list of 2"),
        ("training: {betas: [0, 0, 0]}", "but must be a list of 2"),
        ("training: {lr: 0}", "training.lr is 0, but must be a number above 0"),
        ("training: {lr: .inf}", "training.lr is inf, but must be a number above 0"),
        ("training: {lr: .nan}", "training.lr is nan"),
        ("training: {clip: 0}", "training.clip is 0, but must be a number above 0 or null"),
        ("name: 2024", "name is 2024, but must be text .*; put it in quotes: '2024'"),
        ("name: my run", "name is 'my run', but must be text of letters, .*; nearest is 'my-run'"),
        ("name: ..", r"name is '\.\.', but must be text of letters"),
        ("name: ../../etc", "nearest is 'etc'"),
        ("- 1", r"holds \[1\], but settings are sections"),
        ("monet", "holds 'monet', but settings are sections"),
        ("a: 1\na: 2", "line 2: the key 'a' is given twice"),
        ("a: *b", "line 1: aliases"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "is not text in UTF-8"),
        (b"#" * (MAX_BYTES + 1), "is larger than 1 MB"),
        ("data: {size: 100}", "data.size 100 cannot be halved"),
    ],
)
def test_mistakes_in_the_file_are_one_sentence(config, text, sentence):
    path = config(text)
    with pytest.raises(UserError, match=sentence) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_mistake_says_where_it_is(config):
    path = config("data: {size: 64}")
    with pytest.raises(UserError, match=r"^--set: data.size is 4"):
        load_settings(path, ["data.size=4"])
    with pytest.raises(UserError, match=r"^overrides: unknown key 'data.sise'"):
        load_settings(path, {"data.sise": 4})
    with pytest.raises(UserError, match=r"^--set: model.attention\[1\] is 'a'"):
        load_settings(path, ["model.attention=[16, a]"])
    with pytest.raises(UserError, match=r"run.yaml: data.size is 4"):
        load_settings(config("data: {size: 4}"), ["training.lr=1e-3"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("data.size", "--set 'data.size' has no value; write KEY=VALUE"),
        ("=64", "--set '=64' has no key; write KEY=VALUE"),
        ("data.size=[1", r"--set 'data.size=\[1': line 1: not valid YAML"),
        ("data.size.x=1", "--set data.size.x: 'data.size' is 32, which has no keys"),
        ("data..size=1", "unknown key 'data.': valid are"),
        ("model.blocks=!!python/name:os.system", "the tag .* is not allowed"),
    ],
)
def test_mistakes_in_overrides_are_one_sentence(config, word, sentence):
    with pytest.raises(UserError, match=sentence):
        load_settings(config("data: {size: 32}"), [word])


@pytest.mark.parametrize("value", [object(), 2**64, {1, 2}, b"x", "\udcff", {1: [2**63]}])
def test_overrides_from_python_are_plain_values(config, value):
    with pytest.raises(UserError, match=r"^overrides: data\.source: "):
        load_settings(config(""), {"data.source": value})


def test_overrides_are_read_as_yaml():
    words = ["a.b=4e-4", "a.c=null", "d=no", "e= [1, 2] ", "f="]
    changes = parse_overrides(words)
    assert changes == {"a.b": 4e-4, "a.c": None, "d": "no", "e": [1, 2], "f": None}


def test_a_missing_file_names_the_nearest_in_its_folder(config, tmp_path):
    path = config("")
    with pytest.raises(UserError, match=r"no configuration .*ran.yaml'; did you mean 'run.yaml'?"):
        load_settings(tmp_path / "ran.yaml")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        load_settings(tmp_path / "nowhere" / "run.yaml")
    with pytest.raises(UserError, match=r"is a folder; name a YAML file"):
        load_settings(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        load_settings(path / "below_a_file.yaml")
    with pytest.raises(UserError, match="no configuration"):
        load_settings("a\x00b")
    path.unlink()
    with pytest.raises(UserError, match="holds no YAML file"):
        load_settings(path)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"adversary": {"weight": 0.25, "fakes": ["standard"]}, "model.scale": 1e-5},
        {"name": "2024", "data.source": "no", "data.cache": "~", "training.clip": 1e-7},
        {"data.source": "Bilder/Übung 1: #2 + 4e-4", "data.device_cache": True},
    ],
)
def test_what_is_dumped_is_read_back(config, overrides):
    settings = load_settings(config(""), overrides)
    text = dump_settings(settings)
    assert load_settings(config(text)) == settings
    top = [line.split(":")[0] for line in text.splitlines() if line[0] != " "]
    assert top == list(Settings.model_fields)


def test_the_table_has_every_setting_with_its_meaning():
    rows = {row.key: row for row in settings_rows()}
    assert rows["data.size"][1:3] == ("64", "a whole number from 8 to 2048")
    assert rows["adversary.lr"].valid == "a number above 0"
    assert all(row.meaning for row in rows.values())
    assert not any("typing" in row.valid or "<" in row.valid for row in rows.values())
    assert settings_table().row_count == len(rows)


LINES = st.lists(
    st.builds(
        lambda indent, key, value: f"{'  ' * indent}{key}: {value}",
        st.integers(0, 2),
        st.sampled_from([row.key.split(".")[-1] for row in settings_rows()] + ["data", "model"]),
        st.sampled_from(["", "1", "0.5", "-1", "1e999", "[]", "[1, x]", "{}", "null", "auto", "no"])
        | st.text(max_size=8),
    ),
    max_size=6,
).map("\n".join)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=LINES | st.text(max_size=80) | st.binary(max_size=80))
def test_any_file_gives_settings_or_a_sentence(config, text):
    raw = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    try:
        settings = load_settings(config(raw))
    except UserError as error:
        assert str(error)
    else:
        assert isinstance(settings, Settings)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
plain |= st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=5), plain, max_size=2)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(key=st.sampled_from([row.key for row in settings_rows()]), value=plain)
def test_any_value_gives_settings_or_a_sentence(config, key, value):
    path = config("")
    try:
        settings = load_settings(path, {key: value})
    except UserError as error:
        assert str(error)
    else:
        assert load_settings(config(dump_settings(settings))) == settings
