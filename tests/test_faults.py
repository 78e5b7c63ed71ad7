"""Faults of conf/ and of a command line: one line with the file or key, its value, and what is right."""

from __future__ import annotations

import pytest

from conftest import invoke, noise, write_audio
from earshot.cli import hydra_train, main
from earshot.doctor import beforehand
from earshot.errors import EarshotError
from earshot.tuning.plan import read_plan

LINE = ["experiment=sirens-log_mel-cnn", "model.training.max_epochs=1"]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("protocol=WRONG", "protocol is WRONG, and must be published or grouped"),
        ("protocol=grouped,WRONG", "protocol is WRONG, and must be"),
        ("fold=x", "fold is x, and must be a whole number, 0 or more"),
        ("fold=-1", "fold is -1, and must be"),
        ("seed=1.5", "seed is 1.5, and must be a whole number"),
        ("seed=0,x", "seed is x, and must be"),
        ("task=null", "task is null, and must be"),
        ("in-put=log_mel", "no setting is called in-put"),
        ("model=WRONG", "model=WRONG: there is no conf/model/WRONG.yaml; there are ann, cnn, "),
        ("model=cnn,lstn", "model=lstn: there is no conf/model/lstn.yaml; did you mean lstm?"),
        ("experiment=sirens-log_mel-cmn", "there is no conf/experiment/sirens-log_mel-cmn.yaml; did you mean sirens-"),
        ("optimizer=sgd", "there is no conf/optimizer/sgd.yaml"),
        ("model.wrong=1", "no setting is called model.wrong"),
        ("+foldd=1", "foldd is no setting; did you mean fold?"),
        ("++trainer.thread=1", "trainer.thread is no setting; did you mean threads?"),
        ("trainer.threads=x", "trainer.threads is x, and must be a whole number, 1 or more"),
        ("trainer.precision=7", "trainer.precision is 7, and must be a precision"),
        ("mlflow.artifacts=maybe", "mlflow.artifacts is maybe, and must be true or false"),
        ("model.filters=[8", "it must be KEY=VALUE"),
        ("model.filters={", "it must be KEY=VALUE"),
        ("WRONG", "WRONG: it must be KEY=VALUE"),
        ("=3", "=3: it must be KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_one_line(project, override, told):
    with pytest.raises(EarshotError) as caught:
        hydra_train.check([*LINE, override])
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("line", [["seed=0,1", "-m"], ["--help"], ["--cfg", "job", "model=WRONG"], ["seed=range(0,3)"]])
def test_a_right_line_is_left_to_hydra(project, line):
    hydra_train.check([*LINE, *line])


def test_a_wrong_line_ends_before_hydra_sees_it(project):
    assert invoke(main.main, "train", *LINE, "protocol=WRONG", code=1) == (
        "error: protocol is WRONG, and must be published or grouped\n"
    )


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("model/cnn.yaml", ("dropout: 0.3", "dropout: [0.3"), "conf/model/cnn.yaml: line"),
        ("model/lstm.yaml", None, "conf/model/lstm.yaml holds a list, and must hold settings"),
        ("model/cnn.yaml", ("dense: 16", "dense: 16\ndense: 3"), "cnn.yaml: line 10: the key dense stands twice"),
        ("optimizer/adam.yaml", ("_target_: torch.optim.Adam\n", ""), "optimizer._target_ is missing"),
        ("trainer/default.yaml", ("threads:", "thread:"), "trainer.thread is no setting; did you mean threads?"),
        ("trainer/default.yaml", ("threads:", "\tthreads:"), "conf/trainer/default.yaml: line 4"),
        ("config.yaml", ("seed: 0", "sede: 0"), "sede is no setting; did you mean seed?"),
        ("config.yaml", ("seed: 0", "seed: zero"), "seed is zero, and must be a whole number, 0 or more"),
        ("config.yaml", ("optimizer: adam", "optimizer: adm"), "there is no conf/optimizer/adm.yaml; did you mean ada"),
    ],
)
def test_a_broken_file_of_conf_is_told_before_anything_runs(project, file, change, told):
    path = project.root / "conf" / file
    text = path.read_text()
    assert change is None or change[0] in text
    path.write_text("- a list\n" if change is None else text.replace(*change))
    project.params(datasets=["synthetic_sirens"])
    with pytest.raises(EarshotError) as caught:
        beforehand.check()
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("trials: 30", "trials: many"), "trials is many, and must be a whole number, 1 or more"),
        (("trials: 30", "trails: 30"), "trails is no setting; did you mean trials?"),
        (("trials: 30\n", ""), "trials is missing"),
        (("trials: 30", "trials: [30"), "line 4: "),
        (("metric: accuracy", "metric: acc"), "metric is acc, and must be one of accuracy, macro_f1, loss"),
        (("high: 0.6", "high: -1"), "space.model.dropout is {low: 0.0, high: -1}, and must be low and high"),
        (("low: 0.0003", "low: 0"), "space.optimizer.lr is {low: 0, high: 0.01, log: true}, and must be"),
        (("low: 0.0,", "lo: 0.0,"), "space.model.dropout is {lo: 0.0, high: 0.6}, and must be"),
        (("[16, 32, 64]}\n  model.training.b", "[]}\n  model.training.b"), "space.model.dense is {choices: []}, and"),
        (None, "holds nothing, and must hold settings"),
    ],
)
def test_a_fault_of_a_search_plan_is_one_line(project, change, told):
    path = project.root / "conf" / "sweep" / "cnn.yaml"
    text = path.read_text()
    assert change is None or change[0] in text
    path.write_text(text.replace(*change) if change else "")
    with pytest.raises(EarshotError) as caught:
        read_plan("cnn")
    assert str(caught.value).startswith(f"{path}") and told in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_of_noise_that_does_not_exist_is_told_before_anything_runs(project):
    wrong = project.params()["noise"]["sirens"] | {"alarm": "emergencies"}
    project.params(datasets=["synthetic_sirens"], noise={"sirens": wrong})
    with pytest.raises(EarshotError, match="noise.sirens.alarm is emergencies, which is no class of .* did you mean"):
        beforehand.check()
    for label in ("bell", "horn"):
        write_audio(project.root / "sounds" / label / "a.wav", noise(3, 4000), 4000)
    project.card("street", task="sirens", source={"folder": "sounds"}, layout={"kind": "class_folders"})
    project.params(datasets=["street"], noise={"sirens": wrong | {"alarm": "bell", "background": "hron"}})
    with pytest.raises(EarshotError, match="noise.sirens.background is hron, .* did you mean horn"):
        beforehand.check()
    project.params(noise={"sirens": wrong | {"alarm": "bell", "background": "horn"}})
    beforehand.check()
    project.params(datasets=["synthetic_genres"], noise={"sirens": wrong})
    beforehand.check()  # no dataset of the task
