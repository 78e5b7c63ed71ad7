"""What a training may do beyond the tutorials': schedules, clipping, early stopping, averages, losses."""

from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional

from conftest import PROJECT
from earshot.augment import settings
from earshot.augment.draws import Draws
from earshot.batches import prepare
from earshot.batches.datamodule import WindowDataModule
from earshot.errors import EarshotError
from earshot.models import heads
from earshot.settings import compose
from earshot.training import augmenting, averaging, fit, options, runs, schedules
from earshot.training.callbacks import StopEarly
from earshot.training.classifier import Classifier
from earshot.training.groups import groups_of
from earshot.training.loss import Loss, balanced

CNN = "sirens-log_mel-cnn"


class Steps(pl.Callback):
    """Records the rate before each step, the weights after it, and the validation loss of each epoch."""

    def __init__(self):
        self.rates, self.weights, self.epochs = [], [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.weights.append({name: value.cpu().clone() for name, value in pl_module.net.state_dict().items()})

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(len(self.weights) - 1)


def trained(*overrides: str, experiment: str = CNN) -> tuple[fit.Trained, Steps]:
    cfg = compose([f"experiment={experiment}", "model.training.max_epochs=3", *overrides])
    data, steps = prepare.load(cfg), Steps()
    parts = [prepare.part(cfg, data, part) for part in ("train", "validation")]
    return fit.fit(cfg, data, *parts, callbacks=[steps]), steps


@pytest.mark.parametrize("model", ["ann", "cnn", "lstm", "linear"])
def test_the_tutorials_models_are_trained_with_everything_off(project, model):
    how = options.of(compose([f"model={model}"]))
    own = {name: getattr(how, name) for name in ("max_epochs", "batch_size", "checkpoint")}
    assert how == options.Training(**own), "conf/training/default.yaml and the schema agree on what is off"
    assert (how.schedule, how.averaging, how.class_weights, how.sampling) == ("constant", "none", "none", "shuffled")
    assert how.early_stopping is how.gradient_clipping is None and how.label_smoothing == 0


def test_the_document_has_every_option_with_its_default_and_every_operation():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (PROJECT / "docs" / "training.md").read_text(), re.MULTILINE)
    told = {name: yaml.safe_load(value.strip().strip("`")) for name, value in rows}
    off = {name: field.default for name, field in options.Training.model_fields.items() if not field.is_required()}
    assert {name: told.get(name, "absent") for name in off} == off
    assert set(settings.Augmentation.model_fields) == set(told) - set(off)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("schedule=cosin", "model.training.schedule is cosin, and must be one of constant, cosine, one_cycle"),
        ("warm_up=10", "model.training.warm_up is 10, and must be a share of the steps"),
        ("label_smoothing=1.0", "model.training.label_smoothing is 1.0, and must be a share"),
        ("early_stopping=0", "model.training.early_stopping is 0, and must be a number of epochs"),
        ("early_stopping=true", "model.training.early_stopping is true, and"),
        ("gradient_clipping=-1", "model.training.gradient_clipping is -1, and must be a norm above 0"),
        ("averaging=mean", "model.training.averaging is mean, and must be one of none, ema, swa"),
        ("swa_share=0", "model.training.swa_share is 0, and must be a share above 0"),
        ("max_epochs=0", "model.training.max_epochs is 0, and must be a whole number, 1 or more"),
        ("max_epochs=null", "model.training.max_epochs is null"),
        ("class_weights=1", "model.training.class_weights is 1, and must be none or balanced"),
    ],
)
def test_a_wrong_option_is_told_in_a_line(project, override, told):
    with pytest.raises(EarshotError, match=told) as error:
        options.of(compose([f"model.training.{override}"]))
    assert "\n" not in str(error.value)


def test_options_that_contradict_each_other_are_refused(project):
    with pytest.raises(EarshotError, match="set model.training.checkpoint=best"):
        options.of(compose(["model=ann", "model.training.early_stopping=3"]))
    with pytest.raises(EarshotError, match="warm_up is 0, and the one cycle has to rise"):
        options.of(compose(["model.training.schedule=one_cycle", "model.training.warm_up=0"]))


def test_an_unknown_option_in_a_models_file_is_told(project):
    path = project.root / "conf" / "model" / "cnn.yaml"
    path.write_text(path.read_text() + "  shedule: cosine\n")
    with pytest.raises(EarshotError, match=r"model.training.shedule is no setting; did you mean schedule\?"):
        options.of(compose([]))


def test_what_changes_gradient_steps_is_refused_for_a_model_without_them():
    plain = {"max_epochs": 1, "batch_size": None, "checkpoint": "best"}
    options.check_without_steps(options.Training(**plain, early_stopping=2), [], "linear")
    with pytest.raises(EarshotError, match="schedule is for models that learn by gradient steps.*schedule=constant"):
        options.check_without_steps(options.Training(**plain, schedule="cosine"), [], "linear")
    with pytest.raises(EarshotError, match=r"which linear does not: set augmentation\.mixup=null"):
        options.check_without_steps(options.Training(**plain), ["mixup"], "linear")


def rates_of(scheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def sgd(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], lr=0.1)


def test_cosine_is_that_of_torch_after_a_straight_rise():
    ours = rates_of(schedules.schedule("cosine", sgd(0.5), 20, 0.0), 20)
    theirs = rates_of(torch.optim.lr_scheduler.CosineAnnealingLR(sgd(0.5), T_max=20), 20)
    assert ours == pytest.approx(theirs)
    risen = rates_of(schedules.schedule("cosine", sgd(0.5), 25, 0.2), 25)
    assert risen[:6] == pytest.approx([0.5 * n / 6 for n in range(1, 7)]) and risen[5:] == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_schedule_keeps_the_ratio_of_the_groups_rates(name):
    optimizer = sgd(0.5, 0.05)
    scheduler = schedules.schedule(name, optimizer, 20, 0.25)
    for _ in range(19):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert first == pytest.approx(10 * second)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_training_steps_through_its_whole_schedule(shared, name):
    _, steps = trained(f"model.training.schedule={name}", "model.training.warm_up=0.3", "model.training.batch_size=8")
    expected = rates_of(schedules.schedule(name, sgd(0.001), len(steps.rates), 0.3), len(steps.rates))
    assert len(steps.rates) == 3 * (steps.epochs[0] + 1) and steps.rates == pytest.approx(expected)
    assert max(steps.rates) == pytest.approx(0.001, rel=0.3) and steps.rates[-1] < 0.0003


def test_early_stopping_ends_where_the_loss_no_longer_falls_and_keeps_the_best_epoch(shared):
    result, _ = trained(
        "optimizer.lr=0.0", "model.dropout=0.0", "model.training.max_epochs=20", "model.training.early_stopping=2"
    )
    assert len(result.epochs) == 3 and result.settings["best_epoch"] == 1


@pytest.mark.parametrize(
    ("losses", "ends"), [([3, 2, 2, 2, 1], 4), ([3, 2, 2.5, 1, 2, 0.5], None), ([math.nan, math.nan], 2), ([1], None)]
)
def test_early_stopping_counts_epochs_without_a_lower_loss(losses, ends):
    class Place:
        should_stop = False

    stop, trainer, module = StopEarly(2), Place(), Place()
    seen = None
    for number, loss in enumerate(losses, start=1):
        module.epoch = {"epoch": number, "val_loss": loss}
        stop.on_train_epoch_end(trainer, module)
        seen = seen or (number if trainer.should_stop else None)
    assert seen == ends


def test_gradients_are_clipped(shared):
    plain = ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps", "optimizer.lr=1.0"]
    _, steps = trained(*plain, "model.training.gradient_clipping=0.001")
    moved = [
        math.sqrt(sum((new[name] - old[name]).square().sum().item() for name in new))
        for old, new in zip(steps.weights[:-1], steps.weights[1:], strict=True)
    ]
    assert max(moved) == pytest.approx(0.001, rel=1e-2)


def test_the_plain_average_is_that_of_the_last_epochs(shared):
    result, steps = trained(
        "model.training.averaging=swa",
        "model.training.max_epochs=5",
        "model.training.swa_share=0.5",
        "model.training.checkpoint=last",
    )
    last = [steps.weights[n] for n in steps.epochs[2:]]
    for name, value in result.weights.items():
        assert torch.allclose(value, torch.stack([weights[name] for weights in last]).mean(0), atol=1e-6), name


def test_the_moving_average_is_that_of_all_steps(shared):
    result, steps = trained(
        "model.training.averaging=ema", "model.training.ema_decay=0.5", "model.training.checkpoint=last"
    )
    average = copy.deepcopy(steps.weights[0])
    for n, weights in enumerate(steps.weights[1:], start=1):
        keeps = min(0.5, (1 + n) / (10 + n))
        average = {name: keeps * average[name] + (1 - keeps) * weights[name] for name in average}
    for name, value in result.weights.items():
        assert torch.allclose(value, average[name], atol=1e-5), name
    assert not torch.equal(result.weights["model.output.weight"], steps.weights[-1]["model.output.weight"])


def test_the_scores_of_an_epoch_are_those_of_the_average(shared):
    result, _ = trained("model.training.averaging=ema")
    p = np.array([row[f"p_{row['label']}"] for _, row in result.validation.iterrows()])
    best = result.epochs[result.settings["best_epoch"] - 1]
    assert -np.log(p).mean() == pytest.approx(best["val_loss"], rel=1e-3)


def test_without_an_average_there_is_none():
    net = nn.Linear(2, 1)
    assert averaging.averaged("none", net, 0.9) is None


LOGITS = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(16) % 4


@pytest.mark.parametrize(
    ("logits", "y", "multi_label"),
    [
        (LOGITS, CLASSES, False),
        (LOGITS[:, :1], CLASSES % 2, False),
        (LOGITS, functional.one_hot(CLASSES, 4).float(), True),
    ],
)
def test_the_loss_without_options_is_the_models(logits, y, multi_label):
    loss = Loss(4 if logits.shape[1] > 1 else 2, multi_label)
    assert loss(logits, loss.targets(y)).item() == pytest.approx(heads.loss(logits, y).item())


def test_label_smoothing_is_that_of_torch_and_of_two_classes_the_same():
    loss = Loss(4, False, smoothing=0.2)
    theirs = functional.cross_entropy(LOGITS, CLASSES, label_smoothing=0.2)
    assert loss(LOGITS, loss.targets(CLASSES)).item() == pytest.approx(theirs.item())
    one = LOGITS[:, :1]
    both = torch.cat([torch.zeros_like(one), one], dim=1)  # a softmax of these is the sigmoid
    loss = Loss(2, False, smoothing=0.2)
    theirs = functional.cross_entropy(both, CLASSES % 2, label_smoothing=0.2)
    assert loss(one, loss.targets(CLASSES % 2)).item() == pytest.approx(theirs.item())


def test_balanced_weights_make_classes_count_alike():
    y = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced(y, 3)
    assert (weights * torch.bincount(y)).tolist() == pytest.approx([10 / 3] * 3)
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
    loss = Loss(3, False, weights=weights)
    by_class = [functional.cross_entropy(logits[y == c], y[y == c]).item() for c in range(3)]
    assert loss(logits, loss.targets(y)).item() == pytest.approx(np.mean(by_class))
    assert balanced(torch.tensor([0, 0]), 2).isfinite().all(), "a class without windows"


def test_balanced_weights_of_several_labels_weigh_each_class_by_itself():
    y = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    loss = Loss(2, True, weights=balanced(y, 2))
    each = functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    by_class = [(each[y[:, c] == v, c]).mean().item() for c in range(2) for v in (0.0, 1.0)]
    assert loss(logits, y).item() == pytest.approx(np.mean(by_class))


def test_balanced_sampling_draws_rare_classes_as_often(shared):
    cfg = compose([f"experiment={CNN}"])
    windows = prepare.part(cfg, prepare.load(cfg), "train")
    windows.labels = (torch.arange(len(windows)) % 10 == 0).long()
    drawn = [y for _, y in WindowDataModule(windows, windows, 8, seed=0, balanced=True).train_dataloader()]
    share = torch.cat(drawn).float().mean().item()
    assert len(torch.cat(drawn)) == len(windows) and 0.3 < share < 0.7
    windows.multi_label = True
    with pytest.raises(EarshotError, match="class_weights=balanced"):
        WindowDataModule(windows, windows, 8, seed=0, balanced=True).train_dataloader()


def test_a_training_with_every_option_repeats(shared):
    every = ["schedule=cosine", "gradient_clipping=1.0", "class_weights=balanced", "sampling=balanced"]
    every += ["label_smoothing=0.1", "averaging=ema", "early_stopping=5"]
    one, two = (trained("optimizer=adamw", *(f"model.training.{each}" for each in every))[0] for _ in range(2))
    assert fit.digest(one) == fit.digest(two)
    assert one.settings["model"]["training"]["label_smoothing"] == 0.1, "config.json says how it was trained"


class Tuned(nn.Module):
    """Asks for a lower rate for its first layer."""

    def __init__(self, left_out: bool = False):
        super().__init__()
        self.body, self.head, self.left_out = nn.Linear(2, 2), nn.Linear(2, 1), left_out

    def parameter_groups(self, rate: float):
        groups = [{"params": self.body.parameters(), "lr": rate / 10}, {"params": self.head.parameters()}]
        return groups[1:] if self.left_out else groups

    def forward(self, x):
        return self.head(self.body(x))


def test_a_model_may_ask_for_a_lower_rate_for_some_of_its_parameters():
    how = options.Training(max_epochs=1, batch_size=1, checkpoint="last")
    module = Classifier(Tuned(), lambda params: torch.optim.AdamW(params, lr=0.01), [], how)
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert [(group["lr"], len(group["params"])) for group in groups] == [(0.001, 2), (0.01, 2)]
    assert groups_of(nn.Linear(1, 1), 0.01) == []
    with pytest.raises(EarshotError, match="Tuned.parameter_groups has 2 parameters, 2 of the 4 that are trained"):
        groups_of(Tuned(left_out=True), 0.01)
    frozen = Tuned(left_out=True)
    frozen.body.requires_grad_(False)
    assert len(groups_of(frozen, 0.01)) == 1


def test_adamw_is_adam_but_for_the_decay(project):
    adam, adamw = (OmegaConf.to_container(compose([f"optimizer={name}"]).optimizer) for name in ("adam", "adamw"))
    assert adamw == adam | {"_target_": "torch.optim.AdamW", "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("experiment", "name"),
    [("sirens-waveform-cnn", "waveform"), ("genres-log_mel-cnn", "spectrogram")],
)
def test_a_training_with_augmentation_repeats_and_says_what_was_done(shared, experiment, name):
    plain, _ = trained(experiment=experiment)
    one, two = (trained(f"augmentation={name}", experiment=experiment)[0] for _ in range(2))
    assert fit.digest(one) == fit.digest(two) != fit.digest(plain)
    assert plain.settings["augmentation"] == {}
    assert one.settings["augmentation"]["shift"] == {"p": 0.5, "share": 0.5}
    assert all(np.isfinite(list(epoch.values())).all() for epoch in one.epochs)


def test_background_is_of_the_named_class_of_the_training_part(shared):
    cfg = compose(["experiment=sirens-waveform-cnn", "augmentation.background={p: 1.0, label: other, snr_db: [0, 0]}"])
    data = prepare.load(cfg)
    windows = prepare.part(cfg, data, "train")
    noise = augmenting.augmenter(cfg, data, windows, None).noise(Draws(0), 50)
    of_class = windows[torch.nonzero(windows.labels == data.classes.index("other"))[:, 0].tolist()][0]
    assert all((of_class == window).flatten(1).all(dim=1).any() for window in noise)
    wrong = compose(["experiment=sirens-waveform-cnn", "augmentation.background={p: 1, label: othr, snr_db: [0, 0]}"])
    with pytest.raises(EarshotError, match=r"background.label is othr, which is no class; did you mean other\?"):
        augmenting.augmenter(wrong, data, windows, None)


@pytest.mark.parametrize(
    ("experiment", "operation", "told"),
    [
        (
            "sirens-log_mel-cnn",
            "gain={p: 1, db: [0, 1]}",
            "gain is not for the input log_mel, whose windows are rows",
        ),
        (
            "sirens-waveform-cnn",
            "time_masks={p: 1, number: 1, share: 0.1}",
            "for the input waveform.* are samples",
        ),
        (
            "genres-summary-ann",
            "shift={p: 1, share: 0.1}",
            "for the input summary.*for them there are mixup",
        ),
    ],
)
def test_an_operation_that_is_not_for_the_input_is_refused(shared, experiment, operation, told):
    with pytest.raises(EarshotError, match=told) as error:
        trained(f"augmentation.{operation}", experiment=experiment)
    assert "\n" not in str(error.value)


def test_mlflow_has_what_is_on_and_no_more(trained_on):
    cfg = compose(["experiment=genres-summary-ann", "augmentation.mixup={p: 1.0, alpha: 0.2}"])
    params = runs._params(cfg, prepare.load(cfg))
    assert (
        params["augmentation"] == {"mixup": {"p": 1.0, "alpha": 0.2}} and params["model"]["training"]["warm_up"] == 0.1
    )
