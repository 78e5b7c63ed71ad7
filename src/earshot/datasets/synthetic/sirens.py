"""Synthetic data: emergency vehicles against other traffic, made by code.

Two long recordings, one per class, each put together from many sources: single passes of a vehicle through
its own street, with its own noise and reverberation. The classes share everything but the sound in front: the
i-th source of each class has the same length, level, signal-to-noise ratio and drive-by, and the noise behind
comes from the same generators, so neither loudness nor background tells the class. Both recordings have the
same sampling rate, so neither does resampling.

The sirens follow what is published:

- wail: 10 to 30 cycles per minute, yelp: 150 to 250 per minute (California Code of Regulations, Title 13,
  section 1028), swept within 500 to 1600 Hz and 500 to 1800 Hz (electronic sirens such as those measured by
  C. Howard, A. Maddern and E. Privopoulos, "Acoustic characteristics for effective ambulance sirens",
  Acoustics Australia 39(2), 2011);
- two-tone: two notes between 360 and 630 Hz, a perfect fourth apart, such as a' and d'' (DIN 14610);
- piercer: no standard sets its rate; makers sell it as a sweep several times faster than yelp, here 10 to 14
  cycles per second over yelp's range.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from earshot.audio.mix import at_rms, mix_at_snr
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.synthetic.sound import (
    SPEED_OF_SOUND,
    equalise,
    harmonic_tone,
    pass_by,
    random_curve,
    reverberate,
    room,
    sweep,
)
from earshot.datasets.synthetic.traffic import IN_THE_SIREN_BAND, RATE, engine, street, tyres

Sound = Callable[[np.random.Generator, int], np.ndarray]


def wail(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return the frequency of a wail in Hz: a slow sweep, 10 to 30 cycles per minute."""
    low, high = rng.uniform(550, 650), rng.uniform(1350, 1600)
    return sweep(samples, rng.uniform(10, 30) / 60, low, high, rng.uniform(0.4, 0.6), rng.uniform(), RATE)


def yelp(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return the frequency of a yelp in Hz: a fast sweep, 150 to 250 cycles per minute."""
    low, high = rng.uniform(550, 650), rng.uniform(1450, 1750)
    return sweep(samples, rng.uniform(150, 250) / 60, low, high, rng.uniform(0.4, 0.8), rng.uniform(), RATE)


def two_tone(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return the frequency of a two-tone horn in Hz: notes a fourth apart, about 0.75 pairs a second."""
    low = 440 * rng.uniform(0.96, 1.04)
    pairs = rng.uniform(0.6, 0.9) * np.arange(samples) / RATE + rng.uniform()
    return np.where(pairs % 1 < 0.5, low, low * 4 / 3)


def piercer(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return the frequency of a piercer in Hz: yelp's range swept 10 to 14 times a second."""
    low, high = rng.uniform(550, 650), rng.uniform(1450, 1750)
    return sweep(samples, rng.uniform(10, 14), low, high, rng.uniform(0.4, 0.8), rng.uniform(), RATE)


def siren(frequency: Sound) -> Sound:
    """Make a loudspeaker play a frequency track: with harmonics of its own, the odd ones stronger."""

    def play(rng: np.random.Generator, samples: int) -> np.ndarray:
        number = np.arange(1, 9)
        even = rng.uniform(0.1, 0.8)
        amplitudes = number ** -rng.uniform(0.4, 1.6) * np.where(number % 2, 1.0, even)
        tone = harmonic_tone(frequency(rng, samples), amplitudes, RATE)
        resonances = [300, 600, 1000, 1500, 2500, 5000]
        return equalise(tone, resonances, rng.uniform(-9, 9, len(resonances)), RATE)

    return play


FOREGROUNDS: dict[str, list[Sound]] = {
    "emergency": [siren(frequency) for frequency in (wail, yelp, two_tone, piercer)],
    "non_emergency": [*IN_THE_SIREN_BAND.values(), engine, tyres],
}


@dataclass(frozen=True)
class Scene:
    """What the i-th source of both classes have in common; for the drive-by in m/s, m and s see `pass_by`."""

    seconds: float
    level_db: float
    snr_db: float
    speed: float
    distance: float
    closest: float

    @classmethod
    def draw(cls, rng: np.random.Generator, shortest: float, longest: float) -> Scene:
        """Draw a scene of `shortest` to `longest` seconds."""
        seconds = rng.uniform(shortest, longest)
        return cls(
            seconds=seconds,
            level_db=rng.uniform(-36, -22),
            snr_db=rng.triangular(-8, 6, 12),
            speed=rng.uniform(3, 16),
            distance=rng.uniform(15, 60),
            closest=rng.uniform(-0.2, 1.2) * seconds,
        )


def source(rng: np.random.Generator, scene: Scene, foregrounds: list[Sound]) -> np.ndarray:
    """Return one source: the foreground sounds, one after the other, drive through a street of their own."""
    samples = int(scene.seconds * RATE)
    emitted = int(samples * (1 + scene.speed / SPEED_OF_SOUND)) + 1
    edges = np.linspace(0, emitted, len(foregrounds) + 1).astype(int)
    played = [at_rms(play(rng, b - a), 1.0) for play, (a, b) in zip(foregrounds, pairwise(edges), strict=True)]
    # Cars and corners stand between for moments: +-5 dB, about twice a second.
    shadows = 10 ** (0.25 * random_curve(rng, emitted, 2 * scene.seconds))
    drive = {"speed": scene.speed, "distance": scene.distance, "closest": scene.closest}
    heard = pass_by(np.concatenate(played) * shadows, samples, **drive, rate=RATE)
    walls = room(rng, decay=rng.uniform(0.3, 1.2), wet_db=rng.uniform(-14, -2), rate=RATE)
    scenery = mix_at_snr(reverberate(heard, walls), street(rng, samples), scene.snr_db)
    octaves = np.array([63, 125, 250, 500, 1000, 2000, 4000, 7800])
    microphone = equalise(scenery, octaves, rng.uniform(-6, 6, len(octaves)), RATE)
    return at_rms(microphone, 10 ** (scene.level_db / 20))


def recording(
    name: str, *, seed: int, sources: int, shortest: float, longest: float
) -> tuple[np.ndarray, list[tuple[int, int, str]]]:
    """Return the recording of class `name` and its segments: start, end, source.

    Every third source changes its sound half-way, as a driver changes the siren at a crossing, and makes two
    segments.
    """
    kinds = FOREGROUNDS[name]
    sounds, segments, start = [], [], 0
    for index in range(sources):
        scene = Scene.draw(np.random.default_rng([seed, index]), shortest, longest)
        rng = np.random.default_rng([seed, index, 1 + list(FOREGROUNDS).index(name)])
        chosen = [kinds[index % len(kinds)]]
        if index % 3 == 2:
            chosen.append(kinds[(index + 1 + index // len(kinds)) % len(kinds)])
        sound = source(rng, scene, chosen)
        edges = start + np.linspace(0, len(sound), len(chosen) + 1).astype(int)
        segments += [(a, b, f"{name}_{index:02d}") for a, b in pairwise(edges.tolist())]
        sounds.append(sound)
        start += len(sound)
    return np.concatenate(sounds), segments


def generate(out: Path, *, seed: int, sources: int, shortest: float, longest: float) -> None:
    """Write both recordings and their segments into the folder `out`.

    `sources` is the number per class; each lasts `shortest` to `longest` seconds.
    """
    todo = [(out, name, seed, sources, shortest, longest) for name in FOREGROUNDS]
    with pools.spread(len(todo)) as pool:
        list(each(pool, _record, todo, "recordings"))


def _record(out: Path, name: str, seed: int, sources: int, shortest: float, longest: float) -> None:
    sound, segments = recording(name, seed=seed, sources=sources, shortest=shortest, longest=longest)
    soundfile.write(out / f"{name}.flac", sound, RATE, subtype="PCM_16")
    with (out / f"{name}.segments.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["start_sample", "end_sample", "source"])
        writer.writerows(segments)
