"""params.yaml has one schema: what is wrong is told in a line with file, key, value and what is right."""

from __future__ import annotations

import copy
import os
from unittest import mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from conftest import PROJECT
from earshot import inputs, provenance, settings
from earshot.datasets.card import load_card
from earshot.doctor import beforehand
from earshot.errors import EarshotError
from earshot.schema import yaml_text

SHIPPED = yaml.safe_load((PROJECT / "params.yaml").read_text())


def test_the_shipped_settings_keep_to_the_schema(project):
    assert settings.read_params() == SHIPPED


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("seeds: 0", "seeds is 0, and must be a list of whole numbers"),
        ("seeds: [0, 0]", r"seeds is \[0, 0\].*each once"),
        ("seeds: [-1]", "seeds is"),
        ("seeds: [true]", r"seeds is \[true\]"),
        ("seeds: [0.5]", "seeds is"),
        ("manifest: {max_set_aside: 10%, silence_dbfs: -80}", "manifest.max_set_aside is 10%.*such as 0.1 for 10 %"),
        ("manifest: {max_set_aside: 0.1, silence_dbfs: 80}", "manifest.silence_dbfs is 80.*0 or below"),
        ("manifest: {silence_dbfs: -80}", "manifest.max_set_aside is missing: a share from 0 to 1"),
        ("manifest: 0.1", "manifest is 0.1, and must be a mapping"),
        ("duplicates: {exact_hours: -1, nprobe: 16}", "duplicates.exact_hours is -1, and must be a number of hours"),
        ("duplicates: {exact_hours: .inf, nprobe: 0}", "duplicates.nprobe is 0, and must be a whole number of cells"),
        ("windows: {default: {length: 2, hop: 0}}", "windows.default.hop is 0, and must be a number of seconds above"),
        ("windows: {default: {length: -2, hop: 1}}", "windows.default.length is -2"),
        ("windows: {default: {length: .nan, hop: 1}}", "windows.default.length is .nan"),
        ("windows: {default: {length: .inf, hop: 1}}", "windows.default.length is .inf"),
        ("windows: {birds: {length: 1}}", "windows.birds.hop is missing: a number of seconds above 0"),
        ("windows: {default: {length: 2, hop: 1, pad: silence}}", "pad is silence, and must be one of none, zero"),
        ("windows: {default: {length: 2, hop: 1, hopp: 1}}", r"windows.default.hopp is no setting; did you mean hop\?"),
        ("windows: 2", "windows is 2, and must be a mapping"),
        ("datasets: garden_a", "datasets is garden_a, and must be a list of datasets"),
        ("datasets: [2024]", r"datasets is \[2024\].*such as \[my_birds, '2024'\]"),
        ("datasets: [garden.v2]", "names are of letters, digits, _ and - alone"),
        ("datasets: [my garden]", "names are of letters"),
        ("datasets: [a, a]", "each once"),
        ("protocols: grouped", "protocols is grouped, and must be a list of protocols"),
        ("protocols: [groupd]", r"protocols is \[groupd\].*of published, grouped"),
        ("wirings: [as_copied]", "'as_copied' is none of as_coded, as_described"),
        (
            "experiments: {only: {inputs: log_mel, models: cnn}}",
            "experiments.only.inputs is log_mel, and must be a list",
        ),
        (
            "experiments: {only: {inputs: [log_mell], models: [cnn]}}",
            r"no input is called 'log_mell'; did you mean log_",
        ),
        ("experiments: {only: {inputs: [log_mel], models: [cnm]}}", r"no conf/model/cnm.yaml; did you mean cnn\?"),
        ("experiments: {only: {inputs: [log_mel]}}", "experiments.only.models is missing: a list of files"),
        (
            "experiments: {a: {inputs: [log_mel], models: [cnn]}, b: {inputs: [log_mel], models: [cnn, lstm]}}",
            "log_mel with cnn stands in 2 of them",
        ),
        ("split: {folds: 1}", "split.test_share is missing.*and 5 more"),
        (
            "noise: {sirens: {alarm: a, background: a, snr_db: [0], inputs: [log_mel]}}",
            "both a, and must be two classes",
        ),
        ("noise: {sirens: {alarm: a, background: b, snr_db: 0, inputs: [log_mel]}}", "noise.sirens.snr_db is 0"),
        (
            "noise: {sirens: {alarm: a, background: b, snr_db: [0], inputs: [mel]}}",
            "no input is called 'mel'; did you mea",
        ),
        ("noise:", "noise is null, and must be a mapping"),
        ("audio: {sample_rate: '16000'}", "audio.sample_rate is '16000', and must be a whole number"),
        ("features: {log-mel: {n_mels: 1}}", "features.log-mel: the name of an input has letters, digits and _ alone"),
        ("features: {log_mel: 64}", "features.log_mel is 64, and must be the settings of an input"),
        ("sedes: [1]", r"sedes is no setting; did you mean seeds\?"),
    ],
)
def test_what_is_wrong_is_told_with_key_and_value_and_what_is_right(project, change, told):
    project.params(**yaml.safe_load(change))
    with pytest.raises(EarshotError, match=told) as error:
        settings.read_params()
    assert "\n" not in str(error.value) and "params.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("folds", {"default": 1}), ("folds", 5), ("test_share", 0), ("test_share", 1), ("test_share", "x")],
)
def test_a_share_or_number_of_folds_that_makes_no_split_is_refused(project, key, value):
    project.params(split=SHIPPED["split"] | {key: value})
    with pytest.raises(EarshotError, match=f"split.{key} is .*, and must be"):
        settings.read_params()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "is empty, and must hold settings"),
        (b"- seeds", "holds a list"),
        (b"seeds", "holds text"),
        (b"seeds: [0", "line 1: expected"),
        (b"seeds: [0]\nsplit:\n\tfolds: 1", "line 3: found character"),
        (b"seeds: [0]\nseeds: [1]", "line 2: the key seeds stands twice"),
        (
            b"windows:\n  2024: {length: 1, hop: 1}",
            "line 2: the key 2024 is a number to YAML: write it in quotes, '2024'",
        ),
        (
            b"windows:\n  no: {length: 1, hop: 1}",
            "line 2: the key no is true or false to YAML: write it in quotes, 'no'",
        ),
        (b"windows:\n  [a]: 1", "the key is a list to YAML"),
        ("# für".encode("latin-1"), "not in UTF-8"),
    ],
)
def test_a_file_that_yaml_makes_something_else_of_is_told_with_its_line(project, text, told):
    (project.root / "params.yaml").write_bytes(text)
    with pytest.raises(EarshotError, match=told) as error:
        settings.read_params()
    assert "\n" not in str(error.value) and "params.yaml" in str(error.value)


def test_a_merge_of_yaml_is_no_double_key(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert yaml_text.read_yaml(path)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("log_mel", {"n_mels": "many"}, "n_mels is many, and must be a whole number"),
        ("log_mel", {"n_mels": 0}, "n_mels is 0, and must be 1 or more"),
        ("log_mel", {"hop_length": 0}, "begin every 0"),
        ("log_mel", {"n_fft": 1e9}, "n_fft is 1000000000.0, and must be a whole number"),
        ("log_mel", {"n_fft": 10**6}, "a window of 2 s is shorter than one frame of log_mel"),
        ("log_spectrogram", {"eps": "1e-10"}, "eps is 1e-10, and must be a number, such as 0.5 or 1.0e-10"),
        ("log_spectrogram", {"eps": 0}, "eps is 0, and must be above 0"),
        ("log_spectrogram", {"noverlap": 320}, "begin every 0"),
        ("waveform", {"sample_rate": 0}, "sample_rate is 0"),
        ("summary", {"variances": "no"}, "variances is 'no', and must be true or false"),
        ("summary", {"bandwidth_orders": 2}, "bandwidth_orders is 2"),
        ("summary", {"roll_percent": 85}, "roll_percent is 85"),
        ("summary", {"n_mfc": 1}, r"n_mfc is no setting of Summary; did you mean n_mfcc\?"),
    ],
)
def test_the_settings_of_an_input_are_told_as_well(project, name, change, told):
    changed = SHIPPED | {"features": SHIPPED["features"] | {name: SHIPPED["features"][name] | change}}
    with pytest.raises(EarshotError, match=rf"features.{name} in params.yaml: .*{told}") as error:
        inputs.build(name, changed, "sirens", clips=False)
    assert "\n" not in str(error.value)


def test_a_missing_setting_of_an_input_is_told(project):
    without = {key: value for key, value in SHIPPED["features"]["log_mel"].items() if key != "n_mels"}
    with pytest.raises(EarshotError, match="features.log_mel in params.yaml: n_mels is missing"):
        inputs.build("log_mel", SHIPPED | {"features": {"log_mel": without}}, "sirens", clips=False)


@pytest.fixture
def birds(project):
    project.card("birds", source={"folder": "birds"}, layout={"kind": "class_folders"})
    project.params(datasets=["birds"])
    return project


def test_a_default_is_needed_for_tasks_that_are_not_named(birds):
    window = {"length": 2.0, "hop": 1.0}
    birds.params(windows={"birds": window}, split=SHIPPED["split"] | {"folds": {"birds": 3}})
    beforehand.check()
    birds.params(windows={"frogs": window})
    with pytest.raises(EarshotError, match="windows in params.yaml has frogs: add a line for the task birds, or"):
        beforehand.check()
    birds.params(windows={"default": window}, split=SHIPPED["split"] | {"folds": {}})
    with pytest.raises(EarshotError, match="split.folds in params.yaml has nothing: add a line for the task birds"):
        beforehand.check()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"datasets": []}, "lists nothing under datasets"),
        ({"protocols": []}, "lists nothing under protocols"),
        ({"seeds": []}, "lists nothing under seeds"),
        ({"experiments": {}}, "lists nothing under experiments"),
        ({"datasets": ["owls"]}, "no dataset is called 'owls'.*birds"),
        ({"datasets": ["gtzan_artists"]}, "gtzan_artists holds no recordings"),
        ({"windows": {"default": {"length": 2.0, "hop": 0.333}}}, "windows that start every 0.333 s"),
    ],
)
def test_what_the_pipeline_would_fail_at_is_told_before_it_starts(birds, change, told):
    birds.params(**change)
    with pytest.raises(EarshotError, match=told):
        beforehand.check()


def test_a_folder_that_is_no_project_is_told(project, tmp_path_factory):
    with mock.patch.dict(os.environ, {"EARSHOT_ROOT": str(tmp_path_factory.mktemp("empty"))}):
        with pytest.raises(EarshotError, match="has no dvc.yaml: run earshot from the project's folder"):
            beforehand.check_repository()
        with pytest.raises(EarshotError, match="params.yaml is missing: run earshot from the project's folder"):
            settings.read_params()


def test_a_project_without_git_or_dvc_is_told_what_to_type(birds):
    with pytest.raises(EarshotError, match=r"is no DVC repository: type `git init && dvc init` in it"):
        beforehand.check_repository()
    (birds.root / ".dvc").mkdir()
    (birds.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    with pytest.raises(
        EarshotError, match=r"download of a ZIP: type `git init`.*`dvc config --local core.no_scm true`"
    ):
        beforehand.check_repository()
    (birds.root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    beforehand.check_repository()
    (birds.root / ".dvc" / "config.local").unlink()
    (birds.root / ".git").mkdir()
    beforehand.check_repository()


def test_a_card_that_git_does_not_track_is_told_in_a_dvc_experiment(birds, tmp_path_factory, monkeypatch):
    copy = tmp_path_factory.mktemp("copy")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_STAGE", "download@birds")
    monkeypatch.setenv("DVC_ROOT", str(birds.root))
    with pytest.raises(
        EarshotError, match=r"DVC copies what git tracks, so type `git add conf/cards/birds.yaml` first"
    ):
        load_card("birds")


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("EARSHOT_COMMIT", raising=False)
    assert provenance.commit() == "unknown"


def places(value, path=()):
    """Yield the path of every key and item of nested settings."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=6),
    st.dates(),
    st.lists(st.one_of(st.integers(-1, 2), st.text(max_size=3), st.none()), max_size=3),
    st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 3), st.booleans()), st.integers(0, 3), max_size=2),
)


@given(st.lists(st.tuples(st.sampled_from(sorted(places(SHIPPED), key=str)), ODD), min_size=1, max_size=3))
def test_any_change_is_right_or_one_line(tmp_path_factory, changes):
    root = tmp_path_factory.mktemp("odd")
    changed = copy.deepcopy(SHIPPED)
    for path, value in changes:
        inner = changed
        try:
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change has taken its place away
    for name in ("conf", "dvc.yaml"):
        (root / name).symlink_to(PROJECT / name)
    (root / "params.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    with mock.patch.dict(os.environ, {"EARSHOT_ROOT": str(root)}):
        try:
            beforehand.check()
        except EarshotError as error:
            assert "\n" not in str(error)


NAMES = st.text(st.sampled_from("aZ09_-. ,'\"[]/\\{}$#ü😀\n=:%"), min_size=1, max_size=6)


@given(name=NAMES, task=st.one_of(NAMES, st.integers(0, 3000), st.booleans(), st.none()))
def test_any_name_and_task_work_or_are_told_in_one_line(tmp_path_factory, name, task):
    root = tmp_path_factory.mktemp("names")
    (root / "conf" / "cards").mkdir(parents=True)
    for path in (PROJECT / "conf").iterdir():
        if path.name != "cards":
            (root / "conf" / path.name).symlink_to(path)
    (root / "dvc.yaml").symlink_to(PROJECT / "dvc.yaml")
    facts = {"title": "t", "licence": "l", "citation": "c", "source": {"folder": "."}, "task": task}
    card = root / "conf" / "cards" / f"{name.replace('/', '_')}.yaml"
    card.write_text(yaml.safe_dump(facts | {"layout": {"kind": "class_folders"}}), encoding="utf-8")
    (root / "params.yaml").write_text(yaml.safe_dump(SHIPPED | {"datasets": [name]}), encoding="utf-8")
    with mock.patch.dict(os.environ, {"EARSHOT_ROOT": str(root)}):
        try:
            beforehand.check()
        except EarshotError as error:
            assert "\n" not in str(error)
        else:
            cfg = settings.compose([settings.override("dataset", name), settings.override("task", task)])
            assert (cfg.dataset, cfg.task) == (name, task)
