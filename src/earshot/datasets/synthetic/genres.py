"""Synthetic data: ten genres of music, played by a few artists each, made by code.

A genre is a style: tempo, groove, harmony, melody and instruments; neighbours share some of them (rock and
metal, disco and pop, blues and jazz, reggae and hip-hop). An artist plays a genre in a way of their own:
instruments, mix, equaliser, studio and favourite tempo are the same in all their tracks. So tracks of one
artist sound alike, which is what a random split gives away.

The names of the genres are those of GTZAN; nothing else is taken from there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from earshot.audio.mix import at_rms
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.synthetic.music_styles import STEPS, STYLES, Instrument, Style
from earshot.datasets.synthetic.sound import band, coloured_noise, equalise, harmonic_tone, reverberate, room

RATE = 22_050  # samples per second
OCTAVES = np.array([63, 125, 250, 500, 1000, 2000, 4000, 8000])  # Hz, the equaliser's bands
OCTAVE_NUMBERS = np.arange(len(OCTAVES))
PARTS = ("drums", "bass", "chords", "lead")


@dataclass(frozen=True)
class Artist:
    """What the tracks of one artist have in common."""

    tempo: float  # beats per minute
    key: int  # semitones above A
    instruments: tuple[Instrument, Instrument, Instrument]
    kick: np.ndarray
    snare: np.ndarray
    hat: np.ndarray
    drive: float
    balance_db: np.ndarray  # per part
    equaliser_db: np.ndarray  # per octave
    hiss: float  # RMS of the tape hiss, against music of RMS 0.3
    voicing: int  # octave of the chords, in semitones
    studio: np.ndarray  # impulse response

    @classmethod
    def draw(cls, rng: np.random.Generator, style: Style) -> Artist:
        """Draw an artist who plays the style."""
        return cls(
            tempo=rng.uniform(*style.tempo),
            key=int(rng.integers(12)),
            instruments=tuple(
                Instrument(
                    i.slope + rng.uniform(-0.25, 0.25),
                    i.attack * rng.uniform(0.6, 1.6),
                    i.decay * rng.uniform(0.5, 1.6),
                )
                for i in style.instruments
            ),
            kick=_kick(rng),
            snare=_snare(rng),
            hat=_hat(rng),
            drive=style.drive * rng.uniform(0.5, 1.5),
            balance_db=np.array(style.loudness) + rng.uniform(-2.5, 2.5, len(PARTS)),
            equaliser_db=np.interp(OCTAVE_NUMBERS, [0, 3.5, 7], style.tone) + rng.uniform(-2.5, 2.5, len(OCTAVES)),
            voicing=int(rng.choice([12, 24])),
            hiss=rng.uniform(0.01, 0.05),
            studio=room(rng, decay=rng.uniform(0.2, 1.2), wet_db=rng.uniform(-16, -3), rate=RATE),
        )


def _kick(rng: np.random.Generator) -> np.ndarray:
    """Return a bass drum: a tone that falls from some 150 Hz to some 50 Hz."""
    time = np.arange(int(0.25 * RATE)) / RATE
    fall = rng.uniform(42, 65) + rng.uniform(60, 140) * np.exp(-time / 0.03)
    return harmonic_tone(fall, [1, rng.uniform(0, 0.3)], RATE) * np.exp(-time / rng.uniform(0.05, 0.12))


def _snare(rng: np.random.Generator) -> np.ndarray:
    """Return a snare drum: a short tone and a band of noise."""
    time = np.arange(int(0.2 * RATE)) / RATE
    skin = harmonic_tone(np.full(len(time), rng.uniform(160, 240)), [0.6, 0.3], RATE) * np.exp(-time / 0.04)
    wires = band(rng.standard_normal(len(time)), rng.uniform(800, 2000), rng.uniform(5000, 9000), RATE)
    return skin + wires * np.exp(-time / rng.uniform(0.03, 0.09))


def _hat(rng: np.random.Generator) -> np.ndarray:
    """Return a hi-hat: a short band of high noise."""
    time = np.arange(int(0.12 * RATE)) / RATE
    metal = band(rng.standard_normal(len(time)), rng.uniform(4000, 7000), 10_500, RATE)
    return 0.4 * metal * np.exp(-time / rng.uniform(0.01, 0.05))


@lru_cache(maxsize=200)
def note(instrument: Instrument, semitones: int, seconds: float) -> np.ndarray:
    """Return one note, `semitones` above A1 (55 Hz), held for `seconds`."""
    time = np.arange(int(seconds * RATE)) / RATE
    amplitudes = np.arange(1, 9) ** -instrument.slope
    tone = harmonic_tone(np.full(len(time), 55 * 2 ** (semitones / 12)), amplitudes, RATE)
    release = np.minimum(1, (seconds - time) / 0.02)
    return tone * np.minimum(1, time / instrument.attack) * np.exp(-time / instrument.decay) * release


class Score:
    """Places sounds on the sixteenths of a track of `seconds`."""

    def __init__(self, seconds: float, tempo: float, swing: float):
        self.samples = int(seconds * RATE)
        self.step = 15 / tempo  # seconds in a sixteenth
        self.swing = swing
        self.steps = int(seconds / self.step)

    def start(self, step: int) -> float:
        """Return when a sixteenth starts, in seconds; the off-beat eighths come late in swing."""
        late = (self.swing - 0.5) * 4 if step % 4 >= 2 else 0.0
        return (step + late) * self.step

    def starts(self, pattern: str) -> list[int]:
        """Return the sixteenths at which a bar's pattern, repeated, has a note."""
        return [step for step in range(self.steps) if pattern[step % STEPS] == "x"]

    def render(self, sounds: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        """Add up sounds that start at the given sixteenths."""
        track = np.zeros(self.samples)
        for step, sound in sounds:
            start = int(self.start(step) * RATE)
            heard = sound[: max(self.samples - start, 0)]
            track[start : start + len(heard)] += heard
        return track

    def play(self, instrument: Instrument, steps: list[int], chords: np.ndarray, longest: float) -> np.ndarray:
        """Play chords, shape (steps, notes), each held until the next one or for `longest` seconds."""
        track = []
        for step, following, chord in zip(steps, [*steps[1:], self.steps + 1], chords, strict=True):
            held = min(self.start(following) - self.start(step), longest)
            # rounded, so that notes of the same length are made only once
            track += [(step, note(instrument, int(semitones), round(held, 4))) for semitones in chord]
        return self.render(track)


def _melody(rng: np.random.Generator, scale: tuple[int, ...], notes: int) -> np.ndarray:
    """Return a random walk over two octaves of the scale, in semitones."""
    top = 2 * len(scale)
    walk = np.cumsum(rng.choice([-2, -1, -1, 0, 1, 1, 2], notes)) + rng.integers(len(scale))
    degrees = np.abs((walk + top) % (2 * top) - top)  # turns round at both ends
    return np.take(scale, degrees, mode="wrap") + 12 * (degrees // len(scale))


def perform(rng: np.random.Generator, style: Style, artist: Artist, seconds: float) -> np.ndarray:
    """Return a track: the artist improvises in the style."""
    score = Score(seconds, artist.tempo * rng.uniform(0.96, 1.04), style.swing)
    key = artist.key + rng.choice([0, 0, 0, 5]) - 12 * (artist.key > 6)
    bars = 2 * rng.integers(2) + np.arange(score.steps) // STEPS
    roots = key + np.take(style.roots, bars, mode="wrap")  # of the chord at each sixteenth
    bass, chords, lead = artist.instruments

    kit = ((style.kick, artist.kick), (style.snare, artist.snare), (style.hat, artist.hat))
    drums = score.render((step, sound) for pattern, sound in kit for step in score.starts(pattern))
    low = score.starts(style.bass_line)
    bass_track = score.play(bass, low, (roots[low] + rng.choice([0, 0, 0, 7, 12], len(low)))[:, None], 0.8)
    strums = score.starts(style.strum)
    chord_track = score.play(chords, strums, roots[strums, None] + style.chord + artist.voicing, 1.5)
    if artist.drive:
        chord_track = np.tanh(artist.drive * at_rms(chord_track, 1.0))
    sung = [0, *(step for step in range(2, score.steps, 2) if rng.uniform() < style.density)]
    lead_track = score.play(lead, sung, key + 24 + _melody(rng, style.scale, len(sung))[:, None], 1.0)

    balance = artist.balance_db + rng.uniform(-0.7, 0.7, len(PARTS))
    parts = (drums, bass_track, chord_track, lead_track)
    mix = sum(at_rms(part, 10 ** (level / 20)) for part, level in zip(parts, balance, strict=True) if part.any())
    hiss = artist.hiss * coloured_noise(rng, score.samples, 0.5)
    limited = np.tanh(at_rms(mix, 0.3) + hiss)  # as a mastering limiter: drum hits do not stick out
    mastered = equalise(limited, OCTAVES, artist.equaliser_db, RATE)
    return reverberate(mastered, artist.studio)


def generate(out: Path, *, seed: int, artists: int, tracks: int, seconds: float) -> None:
    """Write `genres/GENRE/GENRE.NNNNN.flac` and groups.csv into the folder `out`.

    `artists` is the number per genre, `tracks` that per artist; a track lasts `seconds`. The loudness of a
    track is drawn from one distribution for all genres.
    """
    for genre in STYLES:
        (out / "genres" / genre).mkdir(parents=True)
    todo = [(out, seed, genre, number, tracks, seconds) for genre in STYLES for number in range(artists)]
    with pools.spread(os.cpu_count()) as pool, (out / "groups.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["filename", "group"])
        for filenames, (_, _, genre, number, *_) in zip(each(pool, _record, todo, "artists"), todo, strict=True):
            writer.writerows((filename, f"{genre}_artist_{number}") for filename in filenames)


def _record(out: Path, seed: int, genre: str, number: int, tracks: int, seconds: float) -> list[str]:
    """Write the tracks of a genre's artist and return their names."""
    style, of_artist = STYLES[genre], [seed, list(STYLES).index(genre), number]
    artist = Artist.draw(np.random.default_rng(of_artist), style)
    filenames = [f"{genre}.{track:05d}.flac" for track in range(number * tracks, (number + 1) * tracks)]
    for track, filename in enumerate(filenames):
        rng = np.random.default_rng([*of_artist, 1 + track])
        sound = at_rms(perform(rng, style, artist, seconds), 10 ** (rng.uniform(-28, -20) / 20))
        soundfile.write(out / "genres" / genre / filename, sound, RATE, subtype="PCM_16")
    return filenames
