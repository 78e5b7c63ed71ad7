"""Augmentation: what each operation does to a batch, that it is the same each time, and what may not be asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from conftest import PROJECT
from earshot.augment import Augmenter, settings
from earshot.augment.codec import linear, mu_law
from earshot.augment.draws import Draws
from earshot.augment.filters import filtered
from earshot.augment.mixup import mixing
from earshot.errors import EarshotError
from earshot.settings import compose
from earshot.training import augmenting

RATE = 8000
EVERY = {
    "shift": {"p": 0.5, "share": 0.5},
    "background": {"p": 0.5, "label": "street", "snr_db": [0.0, 10.0]},
    "room": {"p": 0.5, "rt60": [0.1, 0.3], "direct_db": [0.0, 10.0]},
    "band": {"p": 0.5, "low_hz": [50.0, 200.0], "high_hz": [2000.0, 3000.0]},
    "tilt": {"p": 0.5, "db_per_octave": [-3.0, 3.0]},
    "rate": {"p": 0.5, "hz": [4000.0, 8000.0]},
    "gain": {"p": 0.5, "db": [-12.0, 6.0]},
    "codec": {"p": 0.5, "kinds": ["mu_law", "bits"], "bits": [6, 10]},
    "mixup": {"p": 0.5, "alpha": 0.3},
}
ROWS = {
    "shift": {"p": 0.5, "share": 0.5},
    "filter": {"p": 0.5, "db": [-6.0, 6.0], "bands": 4},
    "time_masks": {"p": 0.5, "number": 2, "share": 0.2},
    "frequency_masks": {"p": 0.5, "number": 2, "share": 0.2},
    "mixup": {"p": 0.5, "alpha": 0.3},
}


def batch(n: int = 8, rows: int = RATE, bins: int = 1, seed: int = 0, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(n, rows, bins, generator=torch.Generator().manual_seed(seed))


def augmenter(seed: int = 0, fill: torch.Tensor | None = None, noise=None, **operations) -> Augmenter:
    noise = noise or (lambda draws, n: batch(n, seed=int(draws.whole(0, 1000))))
    return Augmenter(settings.read(operations), seed, RATE, torch.zeros(1) if fill is None else fill, noise)


def power_db(x: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(x.square().mean(dim=(1, 2)))


@pytest.mark.parametrize(("operations", "shape"), [(EVERY, (RATE, 1)), (ROWS, (50, 16))])
def test_a_batch_is_changed_as_seed_epoch_and_step_say_and_stays_itself(operations, shape):
    x = batch(8, *shape)
    before, state = x.clone(), torch.get_rng_state()
    one, mixed = augmenter(**operations)(x, 3, 5)
    torch.manual_seed(1)
    augmenter(**operations)(x, 3, 4)
    two, again = augmenter(**operations)(x, 3, 5)
    assert torch.equal(one, two) and torch.equal(mixed.partner, again.partner) and torch.equal(mixed.share, again.share)
    assert torch.equal(x, before) and one.shape == x.shape and one.dtype == torch.float32 and one.isfinite().all()
    for other in (augmenter(seed=1, **operations)(x, 3, 5), augmenter(**operations)(x, 2, 5)):
        assert not torch.equal(one, other[0])
    torch.set_rng_state(state)
    augmenter(**operations)(x, 0, 0)
    assert torch.equal(torch.get_rng_state(), state), "dropout's random numbers are another matter"


@pytest.mark.parametrize("name", [*EVERY, *ROWS])
def test_each_operation_alone_changes_windows_and_leaves_those_that_are_not_drawn(name):
    operations, shape = (ROWS, (50, 16)) if name in ROWS and name not in EVERY else (EVERY, (RATE, 1))
    x = batch(64, *shape)
    changed = (augmenter(**{name: operations[name]})(x, 0, 0)[0] != x).flatten(1).any(dim=1)
    assert 8 < changed.sum() < 56
    assert torch.equal(augmenter(**{name: operations[name] | {"p": 0.0}})(x, 0, 0)[0], x)


def test_an_operations_numbers_do_not_depend_on_other_operations():
    x = batch()
    gained = augmenter(gain=EVERY["gain"])(x, 0, 0)[0]
    both = augmenter(shift=EVERY["shift"] | {"p": 0.0}, gain=EVERY["gain"])(x, 0, 0)[0]
    assert torch.equal(gained, both)


def test_nothing_is_done_where_nothing_is_asked_for():
    x = batch()
    made, mixed = augmenter()(x, 0, 0)
    assert made is x and mixed is None


@given(low=st.floats(-20, 20), width=st.floats(0, 10), step=st.integers(0, 10**6))
def test_the_background_is_mixed_in_at_the_snr_that_was_drawn(low, width, step):
    x, noise = batch(4, 500, level=0.01), batch(4, 500, seed=1, level=0.001)
    asked = {"p": 1.0, "label": "street", "snr_db": [low, low + width]}
    made, _ = augmenter(noise=lambda draws, n: noise, background=asked)(x, 0, step)
    peak = made.abs().amax(dim=(1, 2))
    kept = made[peak < 1] - x[peak < 1]  # a window that would clip is turned down
    snr = power_db(x[peak < 1]) - power_db(kept)
    assert ((snr > low - 0.1) & (snr < low + width + 0.1)).all()
    assert torch.nn.functional.cosine_similarity(kept.flatten(1), noise[peak < 1].flatten(1)).min() > 0.99 or not len(
        kept
    )


@pytest.mark.parametrize(("x", "noise"), [(batch(2), torch.zeros(2, RATE, 1)), (torch.zeros(2, RATE, 1), batch(2))])
def test_silence_has_no_snr_and_changes_nothing(x, noise):
    asked = EVERY["background"] | {"p": 1.0}
    assert torch.equal(augmenter(noise=lambda draws, n: noise, background=asked)(x, 0, 0)[0], x)


def test_every_operation_leaves_silence_silent():
    x = torch.zeros(4, RATE, 1)
    everything = {name: each | {"p": 1.0} for name, each in EVERY.items() if name != "background"}
    assert augmenter(**everything)(x, 0, 0)[0].abs().max() < 1e-6


def test_the_gain_is_one_drawn_and_what_would_clip_is_turned_down():
    x = batch(32)
    made, _ = augmenter(gain={"p": 1.0, "db": [-12.0, 6.0]})(x, 0, 0)
    moved = power_db(made) - power_db(x)
    assert moved.min() >= -12.1 and moved.max() <= 6.1 and moved.std() > 2
    loud, _ = augmenter(gain={"p": 1.0, "db": [60.0, 60.0]})(x, 0, 0)
    assert torch.allclose(loud.abs().amax(dim=(1, 2)), torch.ones(32))


@pytest.mark.parametrize("shape", [(RATE, 1), (50, 16)])
def test_a_shift_turns_windows_round_by_at_most_its_share(shape):
    x = torch.arange(shape[0]).float()[None, :, None].expand(64, *shape).contiguous()
    made, _ = augmenter(shift={"p": 1.0, "share": 0.25})(x, 0, 0)
    assert torch.equal(made.sort(dim=1).values, x)
    first = made[:, 0, 0]
    steps = torch.minimum(first, shape[0] - first)
    assert steps.max() <= round(0.25 * shape[0]) and steps.unique().numel() > 5


def spectrum(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return the power of each window between two frequencies."""
    power = torch.fft.rfft(x[:, :, 0]).abs().square()
    frequencies = torch.fft.rfftfreq(x.shape[1], 1 / RATE)
    return power[:, (frequencies >= low) & (frequencies < high)].mean(dim=1)


def test_a_rate_leaves_nothing_above_its_half():
    x = batch(16)
    made, _ = augmenter(rate={"p": 1.0, "hz": [4000.0, 4000.0]})(x, 0, 0)
    assert (spectrum(made, 2100, 4000) / spectrum(made, 200, 1700)).max() < 1e-3
    assert torch.allclose(power_db(made), power_db(x), atol=0.1), "the level stays"
    whole, _ = augmenter(rate={"p": 1.0, "hz": [16000.0, 16000.0]})(x, 0, 0)
    assert torch.allclose(whole, x, atol=1e-5), "a rate above the window's own changes nothing"


def test_a_band_is_down_by_24_db_an_octave_beyond_its_ends():
    impulse = torch.zeros(1, RATE, 1)
    impulse[0, RATE // 2] = 1.0
    limits = {"p": 1.0, "low_hz": [500.0, 500.0], "high_hz": [1500.0, 1500.0]}
    band, _ = augmenter(band=limits)(impulse, 0, 0)
    levels = [10 * math.log10(spectrum(band, f, f + 20)) for f in (250, 500, 850, 1500, 3000)]
    below, edge, middle, upper_edge, above = (level - levels[2] for level in levels)
    assert middle == 0 and edge == pytest.approx(-3, abs=0.6) and upper_edge == pytest.approx(-3, abs=0.6)
    assert below == pytest.approx(-24, abs=2) and above == pytest.approx(-24, abs=2)


def test_a_tilt_has_so_many_decibels_an_octave():
    impulse = torch.zeros(1, RATE, 1)
    impulse[0, RATE // 2] = 0.9
    made, _ = augmenter(tilt={"p": 1.0, "db_per_octave": [-6.0, -6.0]})(impulse, 0, 0)
    low, high = (10 * math.log10(spectrum(made, f - 10, f + 10)) for f in (500, 1000))
    assert low - high == pytest.approx(6, abs=0.2)


def test_a_rooms_sound_decays_by_60_db_in_its_reverberation_time():
    impulse = torch.zeros(32, RATE, 1)
    impulse[:, 0] = 0.5
    room = settings.Room(p=1.0, rt60=[0.5, 0.5], direct_db=[6.0, 6.0])
    made = filtered(impulse, {"room": (room, Draws(0))}, RATE)
    energy = (made / made[:, :1]).square().mean(dim=(0, 2))
    assert 10 * math.log10(energy[1:].sum()) == pytest.approx(-6, abs=0.1), "below the direct sound"
    early, late = energy[1:401].mean(), energy[2001:2401].mean()
    assert 10 * math.log10(early / late) == pytest.approx(60 * 2000 / (0.5 * RATE), abs=1.5)
    assert energy[round(0.5 * RATE) + 2 :].max() < 1e-8


def test_where_no_window_is_drawn_nothing_is_transformed(monkeypatch):
    monkeypatch.setattr(torch.fft, "rfft", None)  # a GPU's refuses an empty batch
    x = torch.randn(1, RATE, 1)
    assert torch.equal(filtered(x, {"tilt": (settings.Tilt(p=0.0, db_per_octave=[-3.0, 3.0]), Draws(0))}, RATE), x)


def test_mu_law_is_g_711s_to_half_a_decibel_and_the_bits_are_steps():
    x = torch.linspace(-1, 1, 20001)
    assert mu_law(x).unique().numel() == 255
    assert (mu_law(x) - x).abs().max() < 0.025 and torch.equal(mu_law(-x), -mu_law(x))
    small = torch.linspace(0.001, 0.01, 500)
    assert (mu_law(small) - small).abs().max() < 4e-4, "small values have small steps"
    assert torch.equal(mu_law(mu_law(x)), mu_law(x)) or torch.allclose(mu_law(mu_law(x)), mu_law(x), atol=1e-6)
    assert (linear(x, torch.tensor(8)) * 128).frac().abs().max() == 0


def test_a_codec_draws_one_of_its_kinds_for_each_window():
    x = batch(64, level=0.3)
    made, _ = augmenter(codec={"p": 1.0, "kinds": ["mu_law", "bits"], "bits": [6, 6]})(x, 0, 0)
    in_steps = ((made * 32).frac().abs().amax(dim=(1, 2)) == 0).sum()
    assert 16 < in_steps < 48


@given(share=st.floats(0.01, 1.0), number=st.integers(1, 3), step=st.integers(0, 10**6))
@pytest.mark.parametrize(("name", "dim"), [("time_masks", 1), ("frequency_masks", 2)])
def test_masks_hide_at_most_their_share_with_the_mean_of_training(name, dim, share, number, step):
    x = 5 + batch(6, 40, 20)
    fill = torch.arange(20).float() - 30
    made, _ = augmenter(fill=fill, **{name: {"p": 1.0, "number": number, "share": share}})(x, 0, step)
    hidden = made == fill
    assert torch.equal(torch.where(hidden, x, made), x)
    lines = hidden.all(dim=3 - dim)
    assert torch.equal(lines.unsqueeze(3 - dim).expand_as(hidden), hidden), "whole rows or columns"
    assert lines.sum(dim=1).max() <= number * round(share * x.shape[dim])


def test_masks_reach_all_places_alike():
    x = torch.ones(2000, 20, 1)
    made, _ = augmenter(time_masks={"p": 1.0, "number": 1, "share": 0.5})(x, 0, 0)
    share = (made == 0).float().mean(dim=(0, 2))
    assert share.min() > 0.05 and share[9:11].mean() == pytest.approx(share.max().item(), rel=0.15)
    assert (made == 0).float().mean() == pytest.approx(0.25, abs=0.03)


def test_a_filter_adds_straight_lines_over_the_bands():
    x = torch.zeros(64, 10, 40)
    made, _ = augmenter(filter={"p": 1.0, "db": [-6.0, 6.0], "bands": 3})(x, 0, 0)
    assert torch.equal(made, made[:, :1].expand_as(made)) and made.abs().max() <= 6.0
    bends = (made[:, 0].diff(dim=1).diff(dim=1).abs() > 1e-4).sum(dim=1)
    assert bends.max() <= 2 * 2, "two inner ends of bands, which may lie between two columns"
    assert made.std() > 1
    one, _ = augmenter(filter={"p": 1.0, "db": [-6.0, 6.0], "bands": 1})(x, 0, 0)
    assert one[:, 0].diff(dim=1).diff(dim=1).abs().max() < 1e-4, "one band: a tilt"


@given(alpha=st.floats(0.05, 5), p=st.floats(0, 1), step=st.integers(0, 10**6))
def test_mixup_mixes_labels_as_it_mixes_windows(alpha, p, step):
    x = torch.eye(8)[:, :, None]  # each window is its own label
    made, mixed = augmenter(mixup={"p": max(p, 1e-3), "alpha": alpha})(x, 0, step)
    targets = mixed.of(torch.eye(8))
    assert torch.allclose(made[:, :, 0], targets) and torch.allclose(targets.sum(dim=1), torch.ones(8))
    assert ((mixed.share >= 0.5) & (mixed.share <= 1)).all()


def test_the_shares_of_mixup_are_of_the_beta_distribution():
    share = mixing(20000, Draws(1), settings.Mixup(p=1.0, alpha=0.4), torch.device("cpu")).share.numpy()
    drawn = np.random.default_rng(0).beta(0.4, 0.4, 20000)
    expected = np.maximum(drawn, 1 - drawn)
    quantiles = [0.1, 0.3, 0.5, 0.7, 0.9]
    assert np.quantile(share, quantiles) == pytest.approx(np.quantile(expected, quantiles), abs=0.02)


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("gain={p: 1.0}", "augmentation.gain.db is missing: two numbers of decibels, the lower first"),
        ("gain={p: 1.0, db: [6, -12]}", r"augmentation.gain.db is \[6, -12\], and must be two numbers of decibels"),
        ("gain={p: 2, db: [0, 1]}", "augmentation.gain.p is 2, and must be a probability from 0 to 1"),
        ("gain={db: [0, 1]}", "augmentation.gain.p is missing: a probability from 0 to 1"),
        ("gain={p: 1.0, dB: [0, 1]}", r"gain.db is missing.*gain.dB is no setting; there are p, db"),
        ("gain=loud", "augmentation.gain is loud, and must be a mapping"),
        ("codec={p: 1, kinds: [mp3], bits: [8, 8]}", "augmentation.codec.kinds is .*, and must be a list of mu_law"),
        ("time_masks={p: 1, number: 2, share: 20}", "augmentation.time_masks.share is 20, and must be a share above 0"),
        ("mixup={p: 1, alpha: 0}", "augmentation.mixup.alpha is 0, and must be a number above 0"),
        ("rate={p: 1, hz: [0, 8000]}", r"augmentation.rate.hz is \[0, 8000\], and must be two frequencies"),
    ],
)
def test_a_wrong_setting_is_told_in_a_line(project, operation, told):
    with pytest.raises(EarshotError, match=told) as error:
        augmenting.asked(compose([f"augmentation.{operation}"]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in (PROJECT / "conf" / "augmentation").glob("*.yaml")))
def test_the_shipped_files_keep_to_the_schema_and_list_every_operation(project, name):
    cfg = compose([f"augmentation={name}"])
    assert set(cfg.augmentation) == set(settings.Augmentation.model_fields)
    asked = augmenting.asked(cfg).operations
    kinds = {"none": (), "waveform": settings.POSSIBLE["samples"], "spectrogram": settings.POSSIBLE["rows"]}
    assert set(asked) <= set(kinds[name.partition("_")[0]]) and bool(asked) == (name != "none")


def test_the_default_is_none(project):
    assert OmegaConf.to_container(compose([]).augmentation) == dict.fromkeys(settings.Augmentation.model_fields)


def test_a_models_file_may_bring_its_augmentation_and_the_command_line_takes_it_back(project):
    text = (project.root / "conf" / "model" / "cnn.yaml").read_text()
    first = "defaults:\n  - override /augmentation@_global_.augmentation: spectrogram\n"
    (project.root / "conf" / "model" / "changed.yaml").write_text(first + text)
    assert augmenting.recorded(compose(["model=changed"]))["mixup"] == {"p": 0.5, "alpha": 0.3}
    assert augmenting.recorded(compose(["model=changed", "augmentation=none"])) == {}
