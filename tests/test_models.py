"""The models: the tutorials' architectures, started as Keras starts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from conftest import PROJECT
from earshot import models
from earshot.errors import EarshotError
from earshot.models import heads
from earshot.models.crnn import CRNN
from earshot.models.fast.cnn import FastCNN
from earshot.models.fast.convolution import convolve
from earshot.models.fast.drop_and_pool import DropAndPool
from earshot.models.fast.dropout import kept
from earshot.models.fast.lstm import FRAMES_AT_ONCE, FastLSTM
from earshot.models.fast.max_over_time import MaxOverTime, highest
from earshot.models.mel_crnn import Hidden, MelCRNN

SHAPES = {"waveform": (32000, 1), "log_spectrogram": (199, 161), "log_mel": (97, 128)}


def settings(of: str, **changes) -> dict:
    return yaml.safe_load((PROJECT / "conf" / "model" / f"{of}.yaml").read_text()) | changes


def keras_lstm(n_in: int, units: int) -> int:
    return 4 * units * (n_in + units + 1)


@pytest.mark.parametrize(
    ("name", "wiring", "shape", "parameters"),
    [
        ("cnn", "as_coded", SHAPES["waveform"], 481),
        ("cnn", "as_described", SHAPES["waveform"], (13 + 1) * 8 + (8 * 11 + 1) * 16 + 17 * 16 + 17),
        ("cnn", "as_coded", SHAPES["log_spectrogram"], (161 * 11 + 1) * 16 + 17 * 16 + 17),
        ("lstm", "as_coded", SHAPES["waveform"], keras_lstm(160, 64) + 65 * 64 + 65),
        (
            "lstm",
            "as_described",
            SHAPES["log_spectrogram"],
            keras_lstm(161, 128) + keras_lstm(128, 128) + keras_lstm(128, 64) + 65 * 64 + 65,
        ),
    ],
)
def test_parameters_as_keras_counts_them(name, wiring, shape, parameters):
    assert models.n_parameters(models.build(settings(name, wiring=wiring), False, *shape, 2)) == parameters


def test_parameters_of_the_ann():
    built = models.build(settings("ann"), False, 1, 26, 10)
    assert models.n_parameters(built) == 27 * 256 + 257 * 128 + 129 * 64 + 65 * 10


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("wiring", models.WIRINGS)
@pytest.mark.parametrize("name", ["cnn", "lstm"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_model_serves_every_input_over_time(name, wiring, shape, n_classes):
    logits = models.build(settings(name, wiring=wiring), False, *shape, n_classes)(torch.randn(3, *shape))
    assert logits.shape == (3, 1 if n_classes == 2 else n_classes)
    assert torch.allclose(heads.probabilities(logits).sum(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("cnn", (1, 26), "use model=ann"),
        ("lstm", (1, 26), "use model=ann"),
        ("ann", (199, 161), "use input=summary"),
    ],
)
def test_a_model_that_makes_no_sense_of_an_input_says_so(name, shape, said):
    with pytest.raises(EarshotError, match=said):
        models.build(settings(name), False, *shape, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "gru"}, "conf/model/cnn.yaml: `network` is no longer read"),
        (
            {"_target_": None},
            "conf/model/cnn.yaml: _target_ is None, and must name a class below earshot.models or custom",
        ),
        ({"_target_": "os.system"}, "must name a class below"),
        ({"_target_": "earshot.models_of_others.CNN"}, "must name a class below"),
        ({"_target_": "earshot.models.gru.GRU"}, "can't be imported: No module named 'earshot.models.gru'"),
        ({"_target_": "earshot.models.cnn.RNN"}, "has no class of its own with that name"),
        ({"_target_": "earshot.models.cnn.EarshotError"}, "has no class of its own with that name"),
        ({"_target_": "earshot.models.cnn.keras_init"}, "has no class of its own with that name"),
        ({"_target_": "earshot.models.cnn.CNN.forward"}, "can't be imported"),
        ({"_target_": "custom.nobody.Net"}, "can't be imported: No module named 'custom.nobody'"),
        ({"wiring": "both"}, "must be one of"),
        ({"kernel": 3}, "kernel"),
        ({"dense": 10**30}, "conf/model/cnn.yaml: .*"),
    ],
)
def test_a_wrong_setting_is_named(changes, said):
    with pytest.raises(EarshotError, match=said) as error:
        models.build(settings("cnn", **changes), False, 199, 161, 2)
    assert "\n" not in str(error.value)


def test_weights_start_as_in_keras():
    net = models.build(settings("lstm", wiring="as_described"), False, 199, 161, 2)
    first = net.model.recurrent[0]
    limit = np.sqrt(6 / (161 + 4 * 128))
    assert first.weight_ih_l0.abs().max() <= limit and first.weight_ih_l0.abs().max() > 0.99 * limit
    assert torch.allclose(first.weight_hh_l0.T @ first.weight_hh_l0, torch.eye(128), atol=1e-5)
    assert first.bias_ih_l0.reshape(4, 128).sum(dim=1).tolist() == [0, 128, 0, 0]
    assert not first.bias_hh_l0.any() and not first.bias_hh_l0.requires_grad
    convolution = models.build(settings("cnn"), False, 199, 161, 2).model.convolutions[-1]
    limit = np.sqrt(6 / (11 * (161 + 16)))
    assert 0.99 * limit < convolution.weight.abs().max() <= limit and not convolution.bias.any()


def both(name: str, shape: tuple[int, int], n_classes: int = 2, **changes) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a model as it is written, and its fast equivalent with weights of its own."""
    torch.manual_seed(0)
    plain, fast = (models.build(settings(name, **changes), False, *shape, n_classes) for _ in range(2))
    return plain, models.faster(fast)


FAST = {"cnn": FastCNN, "lstm": FastLSTM}


@pytest.mark.parametrize("wiring", models.WIRINGS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", FAST)
def test_a_fast_model_has_the_plain_ones_weights_and_results(name, shape, wiring):
    plain, fast = both(name, shape, wiring=wiring, n_classes=5)
    assert isinstance(fast.model, FAST[name]) and list(plain.state_dict()) == list(fast.state_dict())
    x = torch.randn(3, *shape)
    for one, other in ((plain, fast), (fast, plain)):
        other.load_state_dict(one.state_dict())
        assert torch.allclose(plain.eval()(x), fast.eval()(x), atol=1e-5)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter += 0.1 * torch.rand_like(parameter)


@pytest.mark.parametrize("wiring", models.WIRINGS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", FAST)
def test_a_fast_model_without_dropout_learns_the_same(name, shape, wiring):
    plain, fast = both(name, shape, wiring=wiring, dropout=0.0)
    fast.load_state_dict(plain.state_dict())
    x = torch.randn({"cnn": 3, "lstm": 2 * FRAMES_AT_ONCE // 97}[name], *shape)  # of the LSTM, two stretches or more
    gradients = (
        torch.autograd.grad(net(x).sum(), [p for p in net.parameters() if p.requires_grad]) for net in (fast, plain)
    )
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.abs().max().clamp_min(1))


@pytest.mark.parametrize("name", FAST)
def test_a_fast_model_in_training_gives_what_the_plain_one_gives_on_average(name):
    shape = {"cnn": (60, 4), "lstm": (5, 4)}[name]
    plain, fast = both(name, shape, wiring="as_described")
    fast.load_state_dict(plain.state_dict())
    x = torch.randn(1, *shape).expand(20000, *shape)
    with torch.no_grad():
        ours, theirs = fast(x)[:, 0], plain(x)[:, 0]
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=4 * theirs.std().item() / 20000**0.5)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.05)


def test_what_has_no_fast_equivalent_stays_as_it_is():
    net = models.build(settings("ann"), True, 1, 26, 2)
    assert type(net.model) is models.ANN and models.faster(net) is net
    assert isinstance(models.faster(models.build(settings("cnn"), True, 97, 128, 2)).model, FastCNN)


def five_layers(convolution: torch.nn.Conv1d, x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """What the tutorial's code does, layer by layer."""
    outputs = functional.dropout(torch.relu(convolution(x)), p, training)
    return functional.max_pool1d(outputs, 2).amax(dim=-1)


@pytest.mark.parametrize("n_rows", [13, 199])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 8), (8, 8), (161, 8)])
@pytest.mark.parametrize("first", [True, False])
def test_a_convolution_is_torchs_with_its_gradients(n_in, n_out, n_rows, first):
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(n_in, n_out, 13, padding=6)
    x = torch.randn(5, n_rows, n_in).transpose(1, 2).requires_grad_(not first)
    wanted = [layer.weight, layer.bias, *([] if first else [x])]
    ours, theirs = convolve(layer, x), layer(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    for one, other in zip(*(torch.autograd.grad(y.square().sum(), wanted) for y in (ours, theirs)), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(convolve(layer, x), theirs, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(layer, x)
    (mixed,) = torch.autograd.grad(y.float().square().sum(), layer.weight)
    (exact,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    assert mixed.dtype == torch.float32 and (mixed - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n_rows", [199, 400])
def test_max_over_time_is_the_five_layers(n_rows, training):
    torch.manual_seed(0)
    layer, convolution = MaxOverTime(dropout=0.0), torch.nn.Conv1d(3, 4, 11, padding=5)
    torch.nn.ModuleList([layer, convolution]).train(training)
    x = torch.randn(5, 3, n_rows)
    expected = five_layers(convolution, x, 0.0, training=training)
    assert torch.allclose(layer(convolution, x), expected, atol=1e-5)
    gradients = [
        torch.autograd.grad(outputs.square().sum(), [convolution.weight, convolution.bias])
        for outputs in (layer(convolution, x), expected)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_max_over_time_gives_its_input_the_same_gradient():
    torch.manual_seed(0)
    layer, convolution = MaxOverTime(dropout=0.0), torch.nn.Conv1d(3, 4, 11, padding=5)
    x = torch.randn(2, 3, 60, requires_grad=True)
    ours, theirs = (
        torch.autograd.grad(outputs.square().sum(), x)[0]
        for outputs in (layer(convolution, x), five_layers(convolution, x, 0.0, training=True))
    )
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_max_over_time_drops_as_dropout_does():
    torch.manual_seed(0)
    layer, convolution = MaxOverTime(dropout=0.3).train(), torch.nn.Conv1d(1, 2, 5, padding=2)
    x = torch.randn(1, 1, 20).expand(20000, 1, 20)
    with torch.no_grad():
        ours, theirs = layer(convolution, x), five_layers(convolution, x, 0.3, training=True)
    for channel in range(2):
        values = sorted({round(v, 4) for v in theirs[:, channel].tolist()})
        ours_counts, their_counts = (
            np.array([(outputs[:, channel] - value).abs().lt(2e-4).float().mean() for value in values])
            for outputs in (ours, theirs)
        )
        assert their_counts.sum() == pytest.approx(1, abs=1e-3) and ours_counts.sum() == pytest.approx(1, abs=1e-3)
        assert np.abs(ours_counts - their_counts).max() < 0.02


@pytest.mark.parametrize("n_rows", [199, 400])
def test_drop_and_pool_is_the_three_layers_with_their_gradient(n_rows):
    torch.manual_seed(0)
    x = torch.randn(5, 3, n_rows, requires_grad=True)
    ours, theirs = DropAndPool(0.0)(x), functional.max_pool1d(torch.relu(x), 2)
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad(outputs.square().sum(), x)[0] for outputs in (ours, theirs)]
    assert torch.equal(*gradients)


def test_drop_and_pool_drops_as_dropout_does():
    torch.manual_seed(0)
    x = torch.tensor([1.0, 2.0, -1.0, 3.0]).expand(100000, 1, 4).requires_grad_()
    outputs = DropAndPool(0.3).train()(x)
    shares = {value: (outputs * 0.7 - value).abs().lt(1e-3).float().mean((0, 1)).tolist() for value in (0, 1, 2, 3)}
    assert shares[2][0] == pytest.approx(0.7, abs=0.01) and shares[1][0] == pytest.approx(0.3 * 0.7, abs=0.01)
    assert shares[0] == pytest.approx([0.09, 0.3], abs=0.01) and shares[3][1] == pytest.approx(0.7, abs=0.01)
    gradient = torch.autograd.grad(outputs.sum(), x)[0]
    assert gradient[..., 2].eq(0).all(), "below zero"
    assert torch.equal((gradient * 0.7).round().sum(-1), outputs.gt(0).sum(-1)), "the chosen ones alone"
    assert torch.equal(DropAndPool(0.3).eval()(x), torch.tensor([2.0, 3.0]).expand(100000, 1, 2))


def test_dropout_keeps_each_value_by_itself():
    torch.manual_seed(0)
    drawn = kept(torch.Size([1000, 1001]), 0.3, torch.device("cpu")).float()
    assert drawn.mean().item() == pytest.approx(0.7, abs=2e-3)
    for shift in (1, 2, 3, 4, 1001):  # neighbours in one random number, and across
        both = (drawn.flatten()[:-shift] * drawn.flatten()[shift:]).mean().item()
        assert both == pytest.approx(0.49, abs=3e-3)


def test_the_waveform_lstm_sees_200_steps_of_160_samples():
    net = models.build(settings("lstm"), False, 32000, 1, 2).eval()
    x = torch.randn(2, 32000, 1)
    outputs, _ = net.model.recurrent[0](x.reshape(2, 200, 160))
    expected = net.model.output(torch.relu(net.model.dense(outputs[:, -1])))
    assert torch.allclose(net(x), expected)
    with pytest.raises(EarshotError, match="samples_per_step"):
        models.build(settings("lstm"), False, 32001, 1, 2)


@pytest.mark.parametrize(("n", "k"), [(32000, 6), (32000, 1), (4000, 7), (198, 6), (32010, 3)])
def test_the_highest_values_are_those_of_topk(n, k):
    values = torch.randn(3, 4, n, generator=torch.Generator().manual_seed(k))
    assert torch.equal(highest(values, k), values.topk(k).indices)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("halvings", [0, 1, 3])
def test_a_crnn_pools_the_logits_of_its_frames(halvings, units, n_classes):
    torch.manual_seed(0)
    net = CRNN(97, 128, n_classes, channels=[4, 6, 8], halvings=halvings, units=units, dropout=0.5).eval()
    x = torch.randn(3, 97, 128)
    n_frames = -(-97 // 2**halvings)
    frames = net.frames(x)
    assert frames.shape == (3, n_frames, 1 if n_classes == 2 else n_classes)
    assert torch.allclose(net(x), frames.mean(dim=1), atol=1e-6), "attention begins with the plain mean"
    with torch.no_grad():
        net.attention.weight += 100 * torch.randn_like(net.attention.weight)
    logits = net(x)
    assert not torch.allclose(logits, frames.mean(dim=1), atol=1e-3)
    assert (logits >= frames.amin(dim=1) - 1e-5).all() and (logits <= frames.amax(dim=1) + 1e-5).all()


def test_a_frame_of_a_crnn_hears_what_is_at_its_time():
    torch.manual_seed(0)
    net = CRNN(64, 32, 2, channels=[4, 4], halvings=2, units=0, dropout=0.0).eval()
    x, other = torch.randn(1, 64, 32), torch.randn(1, 64, 32)
    changed = torch.cat([x[:, :40], other[:, 40:]], dim=1)
    same = torch.isclose(net.frames(x), net.frames(changed), atol=1e-6)[0, :, 0]
    assert same[:8].all() and not same[10:].any()


@pytest.mark.parametrize("labels", [torch.arange(12) % 2, torch.arange(12) % 3, torch.eye(3).repeat(4, 1)])
def test_a_crnn_learns_a_batch_by_heart(labels):
    torch.manual_seed(0)
    net = CRNN(
        20, 16, len(labels.unique()) if labels.ndim == 1 else 3, channels=[8, 8], halvings=1, units=8, dropout=0.0
    )
    x, optimizer = torch.randn(12, 20, 16), torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        loss = heads.loss(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("shape", [(1, 26), (32000, 1)])
def test_a_crnn_says_what_it_needs(shape):
    with pytest.raises(EarshotError, match="use input=log_mel"):
        CRNN(*shape, 2, channels=[4], halvings=1, units=0, dropout=0.0)


SAMPLES = {"level": -20.0, "highest_hz": 7700.0, "masks": 1, "time_share": 0.5, "frequency_share": 0.5}


def crnn_of_samples(**settings) -> MelCRNN:
    torch.manual_seed(0)
    small = {"channels": [4, 6], "halvings": 2, "units": 0, "dropout": 0.0}
    return MelCRNN(32000, 1, 2, **SAMPLES | small | settings).eval()


def test_a_crnn_of_samples_hears_neither_level_nor_what_is_above_its_bands():
    net, time = crnn_of_samples(), torch.arange(32000) / 32000
    x = torch.randn(2, 32000, 1) / 20
    whistle = torch.sin(2 * torch.pi * 12000 * time)[None, :, None] / 20
    assert torch.allclose(net(x / 10), net(x), atol=1e-4)
    net, wide = crnn_of_samples(level=None), crnn_of_samples(level=None, highest_hz=15000.0)
    heard, whistled = (net.log_mel(sound)[:, 3:-3] for sound in (x, x + whistle))  # at the ends a tone is reflected
    assert heard.shape == (2, 94, 102) and torch.allclose(heard, whistled, atol=0.02)
    assert (wide.log_mel(x) - wide.log_mel(x + whistle)).abs()[:, 3:-3].max() > 0.5
    assert (net.log_mel(x / 10) - net.log_mel(x)).abs().median() > 0.5


def test_a_crnn_of_samples_pools_the_logits_of_its_frames():
    net, x = crnn_of_samples(), torch.randn(2, 32000, 1)
    assert net.frames(x).shape == (2, 25, 1) and torch.allclose(net(x), net.frames(x).mean(dim=1), atol=1e-6)


@pytest.mark.parametrize("dim", [1, 2])
def test_in_training_alone_a_stretch_is_hidden(dim):
    torch.manual_seed(0)
    hide, x = Hidden(dim, 0.25), torch.ones(200, 40, 80)
    hidden = (hide(x) == 0).transpose(1, dim)
    size = x.shape[dim]
    assert torch.equal(hidden.any(dim=2), hidden.all(dim=2)), "from end to end of the other dimension"
    widths = hidden[:, :, 0].sum(dim=1)
    assert widths.max() <= size / 4 and widths.min() == 0
    assert widths.float().mean() == pytest.approx(size / 8, rel=0.2)
    assert hidden[:, 0, 0].any() and hidden[:, -1, 0].any(), "anywhere"
    assert torch.equal(hide.eval()(x), x)


@pytest.mark.parametrize(
    ("shape", "wrong", "told"),
    [
        ((200, 128), {}, "takes samples at 32 kHz: use input=waveform_32k"),
        ((32000, 1), {"highest_hz": 100.0}, "highest_hz is 100.0, and must leave 8 mel bands"),
        ((32000, 1), {"time_share": 1.5}, "shares from 0 to 1, not 1.5"),
        ((32000, 1), {"level": 3.0}, "level is 3.0, and must be"),
    ],
)
def test_a_crnn_of_samples_says_what_it_needs(shape, wrong, told):
    with pytest.raises(EarshotError, match=told):
        models.build(settings("mel_crnn")["model"] | wrong, False, *shape, 2)
