"""Windows under the recording conditions of another class, and whether a model passes the test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.signal

from conftest import noise, tone
from earshot.evaluation import swapped as stage_work
from earshot.evaluation.conditions import swapped, typical
from earshot.leaks import conditions, hints

RATE = 16000


def narrow(seed: int) -> np.ndarray:
    """A tone as from an old tape: quiet, nothing above 2 kHz."""
    low_pass = scipy.signal.butter(8, 2000, fs=RATE, output="sos")
    sound = scipy.signal.sosfilt(low_pass, tone(700 + 10 * seed, 2, RATE, seed))
    return (0.05 * sound + 1e-6 * noise(2, RATE, 100 + seed)[:, 0]).astype(np.float32)


def wide(seed: int) -> np.ndarray:
    """Loud and up to the highest frequency."""
    return 0.3 * tone(700 + 10 * seed, 2, RATE, seed) + 0.3 * noise(2, RATE, 200 + seed)[:, 0]


def described(sounds: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    return pd.concat(
        [
            conditions.describe(sound, RATE, 2.0, 1.0).assign(label=label)
            for label, mine in sounds.items()
            for sound in mine
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def sounds() -> dict[str, list[np.ndarray]]:
    return {"tape": [narrow(n) for n in range(16)], "studio": [wide(n) for n in range(16)]}


def test_swapped_windows_have_the_conditions_of_the_other_class(sounds):
    before = described(sounds)
    known = typical(before)
    other = {"tape": "studio", "studio": "tape"}
    after = described(
        {
            label: [
                swapped(x, RATE, known[label], known[other[label]], np.random.default_rng(n)) for n, x in enumerate(xs)
            ]
            for label, xs in sounds.items()
        }
    )
    for label, mine in after.groupby("label"):
        then, now = known[other[label]], typical(mine)[label]
        assert now.bandwidth == pytest.approx(then.bandwidth, rel=0.25)
        assert now.floor_db == pytest.approx(then.floor_db, abs=6)
        heard = min(then.bandwidth, known[label].bandwidth) / 1.3 > conditions.THIRDS
        assert np.abs((now.thirds - then.thirds)[heard]).max() < 6
    as_is, changed = (hints.label_hint([(before, table)])["balanced_accuracy"] for table in (before, after))
    assert as_is == 1 and changed < 0.1, "what tells the class by its conditions alone names the other one"


def test_what_is_heard_stays(sounds):
    known = typical(described(sounds))
    for n, window in enumerate(sounds["studio"]):
        changed = swapped(window, RATE, known["studio"], known["tape"], np.random.default_rng(n))
        spectrum = np.abs(np.fft.rfft(changed))
        assert spectrum.argmax() / 2 == pytest.approx(700 + 10 * n, abs=1), "the tone, at its own pitch"


def test_conditions_of_its_own_class_change_nothing(sounds):
    known = typical(described(sounds))["studio"]
    window = sounds["studio"][3]
    quiet = known.__class__(known.thirds, known.bandwidth, -200.0, known.offset)
    assert np.allclose(swapped(window, RATE, quiet, quiet, np.random.default_rng(0)), window, atol=1e-5)


def test_silence_is_given_the_noise_of_the_other_class(sounds):
    known = typical(described(sounds))
    found = swapped(np.zeros(2 * RATE, np.float32), RATE, known["tape"], known["studio"], np.random.default_rng(0))
    level = conditions.describe(found, RATE, 2.0, 1.0)["floor_db"].item()
    assert level == pytest.approx(known["studio"].floor_db, abs=2) and np.isfinite(found).all()


def test_third_octaves_are_mean_power_per_hertz():
    found = conditions.describe(0.1 * np.random.default_rng(0).standard_normal(RATE * 8), RATE, 8.0, 8.0)
    levels = found[conditions.THIRD_COLUMNS].to_numpy()[0]
    white = 10 * np.log10(0.01 / (RATE / 2))
    inside = conditions.THIRDS * 2 ** (1 / 6) < RATE / 2
    assert np.abs(levels[inside] - white)[4:].max() < 1
    assert np.allclose(levels[conditions.THIRDS > RATE / 2 * 2 ** (1 / 6)], conditions.QUIET_DB)


def test_the_other_class_is_drawn_and_never_its_own():
    label = np.array(["a", "b", "c"] * 400, dtype=object)
    drawn = stage_work.draw_classes(label, ["a", "b", "c"], [12, 0])
    assert (drawn != label).all()
    assert pd.crosstab(label, drawn).to_numpy()[~np.eye(3, dtype=bool)].min() > 150
    assert (drawn == stage_work.draw_classes(label, ["a", "b", "c"], [12, 0])).all()
    assert (stage_work.draw_classes(label[:2], ["a", "b"], [12, 1]) == ["b", "a"]).all()


@pytest.mark.parametrize(
    ("audit", "hinted"),
    [
        ({"hints": {"label": {"balanced_accuracy": 1.0, "chance": 0.5}}}, True),
        ({"hints": {"label": {"balanced_accuracy": 0.59, "chance": 0.5}}}, False),
        ({"hints": {"label": {"balanced_accuracy": 0.6, "chance": 0.1}}}, True),
        ({"hints": {}}, False),
    ],
)
def test_the_test_is_made_where_the_audit_hints_at_it(audit, hinted):
    assert stage_work.is_hinted(audit) is hinted
