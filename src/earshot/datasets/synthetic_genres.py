"""Synthetic data: ten genres of music, played by a few artists each, made by code.

A genre is a style: its tempo, groove, harmony, melody and instruments, with neighbours that share some of them
(rock and metal, disco and pop, blues and jazz, reggae and hip-hop). An artist plays a genre in one way of
their own: instruments, mix, equaliser, studio and favourite tempo are the same in all their tracks. So tracks
of one artist sound alike, which is what a random split gives away.

The names of the genres are those of GTZAN; nothing else is taken from there.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earshot.datasets.sound import at_rms, band, coloured_noise, equalise, harmonic_tone, reverberate, room

RATE = 22_050  # samples per second
STEPS = 16  # sixteenth notes in a bar
OCTAVES = np.array([63, 125, 250, 500, 1000, 2000, 4000, 8000])  # Hz, the equaliser's bands
OCTAVE_NUMBERS = np.arange(len(OCTAVES))
PARTS = ("drums", "bass", "chords", "lead")

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PENTATONIC = (0, 2, 4, 7, 9)
BLUES = (0, 3, 5, 6, 7, 10)

TRIAD, MINOR_TRIAD, POWER = (0, 4, 7), (0, 3, 7), (0, 7, 12)
SEVENTH, MAJOR_SEVENTH, MINOR_SEVENTH = (0, 4, 7, 10), (0, 4, 7, 11), (0, 3, 7, 10)


@dataclass(frozen=True)
class Instrument:
    """How a note sounds: harmonic n has amplitude 1/n**slope; attack and decay (to 1/e) are in seconds."""

    slope: float
    attack: float
    decay: float


PIANO = Instrument(1.7, 0.004, 0.5)
GUITAR = Instrument(1.2, 0.004, 0.35)
STEEL = Instrument(0.9, 0.01, 0.9)
STRINGS = Instrument(1.1, 0.12, 4.0)
ORGAN = Instrument(1.8, 0.01, 4.0)
SAXOPHONE = Instrument(0.8, 0.04, 2.0)
SYNTH = Instrument(0.9, 0.01, 0.6)
BASS = Instrument(1.6, 0.006, 0.4)
SUB_BASS = Instrument(2.4, 0.01, 0.8)


@dataclass(frozen=True)
class Style:
    """A genre: beats per minute, groove, harmony and instruments.

    Patterns have a character for each sixteenth of a bar, "x" where a note starts. `swing` is the share of an
    eighth-note pair that the first note takes. `roots` are the chords' roots in semitones above the key, a bar
    each. `loudness` is the level in dB of drums, bass, chords and lead; `tone` that of lows, mids
    and highs in the mix.
    """

    tempo: tuple[float, float]
    swing: float
    kick: str
    snare: str
    hat: str
    bass_line: str
    strum: str
    chord: tuple[int, ...]
    roots: tuple[int, ...]
    scale: tuple[int, ...]
    instruments: tuple[Instrument, Instrument, Instrument]  # bass, chords, lead
    density: float  # of the lead: share of eighths on which a note starts
    drive: float  # distortion of the chords, 0 is none
    loudness: tuple[float, float, float, float]
    tone: tuple[float, float, float]


NONE = "." * STEPS
EIGHTHS = "x." * 8
QUARTERS = "x..." * 4
BACKBEAT = "....x.......x..."

STYLES = {
    "blues": Style(
        (75, 115), 0.64, "x.......x.......", BACKBEAT, EIGHTHS, QUARTERS, "x.....x.x.....x.", SEVENTH,
        (0, 5, 0, 7, 5, 0), BLUES, (BASS, GUITAR, GUITAR), 0.5, 1.0, (-3, 0, -3, 0), (0, 3, -3),
    ),
    "classical": Style(
        (70, 130), 0.5, NONE, NONE, NONE, "x.......x.......", "x.......x.......", TRIAD,
        (0, 5, 7, 0, 9, 2, 7, 0), MAJOR, (STRINGS, STRINGS, STRINGS), 0.7, 0.0, (-60, -4, -2, 0), (-3, 2, -4),
    ),
    "country": Style(
        (90, 135), 0.54, "x.......x.......", BACKBEAT, EIGHTHS, "x.......x.......", "....x.x.....x.x.", TRIAD,
        (0, 0, 5, 0, 7, 0), PENTATONIC, (BASS, GUITAR, STEEL), 0.6, 0.0, (-6, 0, -1, 0), (-3, 2, 3),
    ),
    "disco": Style(
        (112, 128), 0.5, QUARTERS, BACKBEAT, "..x...x...x...x.", EIGHTHS, "..x...xx..x...x.", MINOR_SEVENTH,
        (0, 5, 10, 3), MINOR, (BASS, STRINGS, STRINGS), 0.4, 0.0, (2, 0, -3, -3), (1, -2, 4),
    ),
    "hiphop": Style(
        (80, 104), 0.56, "x..x......x.....", BACKBEAT, EIGHTHS, "x..x......x.....", "x.......x.......", MINOR_SEVENTH,
        (0, 0, 8, 7), MINOR, (SUB_BASS, PIANO, SYNTH), 0.35, 0.0, (3, 3, -6, -6), (6, -3, 0),
    ),
    "jazz": Style(
        (100, 180), 0.66, "x...............", "......x.......x.", "x...x.x.x...x.x.", QUARTERS, "x.....x....x....",
        MAJOR_SEVENTH, (2, 7, 0, 9), MAJOR, (BASS, PIANO, SAXOPHONE), 0.7, 0.0, (-5, 0, -3, 0), (-1, 1, -2),
    ),
    "metal": Style(
        (115, 175), 0.5, "x.xxx.xxx.xxx.xx", BACKBEAT, EIGHTHS, "x.xxx.xxx.xxx.xx", "x.xxx.xxx.xxx.xx", POWER,
        (0, 0, 1, 8), MINOR, (BASS, GUITAR, GUITAR), 0.4, 8.0, (0, -3, 2, -5), (2, -4, 5),
    ),
    "pop": Style(
        (96, 130), 0.5, "x.....x.x.......", BACKBEAT, EIGHTHS, EIGHTHS, "x...x...x...x.x.", TRIAD,
        (0, 7, 9, 5), PENTATONIC, (BASS, SYNTH, SYNTH), 0.5, 0.0, (0, 0, -2, 1), (0, 0, 5),
    ),
    "reggae": Style(
        (70, 96), 0.56, "........x.......", "........x.......", EIGHTHS, "x..x..x.x...x...", "....x.......x...",
        MINOR_TRIAD, (0, 5, 0, 10), MINOR, (SUB_BASS, ORGAN, ORGAN), 0.35, 0.0, (-1, 3, -1, -4), (5, 1, -5),
    ),
    "rock": Style(
        (104, 148), 0.5, "x.......x.x.....", BACKBEAT, EIGHTHS, EIGHTHS, "x.x.x.x.x.x.x.x.", POWER,
        (0, 5, 7, 5), PENTATONIC, (BASS, GUITAR, GUITAR), 0.45, 3.0, (0, -2, 0, -2), (1, 2, 2),
    ),
}  # fmt: skip


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
            equaliser_db=np.interp(OCTAVE_NUMBERS, [0, 3.5, 7], style.tone)
            + rng.uniform(-4, 4, len(OCTAVES)),
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


def note(instrument: Instrument, semitones: float, seconds: float) -> np.ndarray:
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

    def render(self, sounds: list[tuple[int, np.ndarray]]) -> np.ndarray:
        """Add up sounds that start at the given sixteenths."""
        track = np.zeros(self.samples)
        for step, sound in sounds:
            start = int(self.start(step) * RATE)
            heard = sound[: max(self.samples - start, 0)]
            track[start : start + len(heard)] += heard
        return track

    def held(self, steps: list[int], longest: float) -> list[float]:
        """Return how long each note sounds, in seconds: to the next one, at most `longest`."""
        ends = [*steps[1:], self.steps + 1]
        return [min(self.start(b) - self.start(a), longest) for a, b in zip(steps, ends, strict=True)]


def _melody(rng: np.random.Generator, scale: tuple[int, ...], notes: int) -> np.ndarray:
    """Return a random walk over two octaves of the scale, in semitones."""
    degrees = np.cumsum(rng.choice([-2, -1, -1, 0, 1, 1, 2], notes)) + rng.integers(len(scale))
    degrees = np.abs(
        (degrees + 2 * len(scale)) % (4 * len(scale)) - 2 * len(scale)
    )  # turns round at the ends
    return np.array(scale)[degrees % len(scale)] + 12 * (degrees // len(scale))


def perform(rng: np.random.Generator, style: Style, artist: Artist, seconds: float) -> np.ndarray:
    """Return a track: the artist improvises in the style."""
    score = Score(seconds, artist.tempo * rng.uniform(0.96, 1.04), style.swing)
    key = artist.key + rng.choice([0, 0, 0, 5]) - 12 * (artist.key > 6)
    first = 2 * rng.integers(2)
    bass, chords, lead = artist.instruments

    def root(step: int) -> int:
        return key + style.roots[(first + step // STEPS) % len(style.roots)]

    def played(
        instrument: Instrument, steps: list[int], pitches: list[list[float]], longest: float
    ) -> np.ndarray:
        held = score.held(steps, longest)
        return score.render(
            [
                (step, note(instrument, pitch, length))
                for step, length, chord in zip(steps, held, pitches, strict=True)
                for pitch in chord
            ]
        )

    drums = score.render(
        [(step, artist.kick) for step in score.starts(style.kick)]
        + [(step, artist.snare) for step in score.starts(style.snare)]
        + [(step, artist.hat * rng.uniform(0.6, 1)) for step in score.starts(style.hat)]
    )
    low = score.starts(style.bass_line)
    bass_track = played(bass, low, [[root(s) + rng.choice([0, 0, 0, 7, 12])] for s in low], 0.8)
    strums = score.starts(style.strum)
    voicing = np.array(style.chord) + artist.voicing
    chord_track = played(chords, strums, [root(s) + voicing for s in strums], 1.5)
    if artist.drive:
        chord_track = np.tanh(artist.drive * at_rms(chord_track, 1.0))
    sung = [step for step in range(0, score.steps, 2) if rng.uniform() < style.density]
    lead_track = played(lead, sung, (key + 24 + _melody(rng, style.scale, len(sung)))[:, None], 1.0)

    balance = artist.balance_db + rng.uniform(-1, 1, len(PARTS))
    parts = (drums, bass_track, chord_track, lead_track)
    mix = sum(
        at_rms(part, 10 ** (level / 20)) for part, level in zip(parts, balance, strict=True) if part.any()
    )
    hiss = artist.hiss * coloured_noise(rng, score.samples, 0.5)
    limited = np.tanh(at_rms(mix, 0.3) + hiss)  # as a mastering limiter: drum hits do not stick out
    mastered = equalise(limited, OCTAVES, artist.equaliser_db, RATE)
    return reverberate(mastered, artist.studio)


def generate(out: Path, *, seed: int, artists: int, tracks: int, seconds: float) -> None:
    """Write `genres/GENRE/GENRE.NNNNN.flac` and groups.csv into the folder `out`.

    `artists` is the number per genre, `tracks` that per artist; a track lasts `seconds`. The loudness of a
    track is drawn from one distribution for all genres.
    """
    groups = []
    for genre_index, (genre, style) in enumerate(STYLES.items()):
        folder = out / "genres" / genre
        folder.mkdir(parents=True)
        for number in range(artists * tracks):
            of_artist = [seed, genre_index, number // tracks]
            artist = Artist.draw(np.random.default_rng(of_artist), style)
            rng = np.random.default_rng([*of_artist, 1 + number % tracks])
            track = at_rms(perform(rng, style, artist, seconds), 10 ** (rng.uniform(-28, -20) / 20))
            filename = f"{genre}.{number:05d}.flac"
            soundfile.write(folder / filename, track, RATE, subtype="PCM_16")
            groups.append((filename, f"{genre}_artist_{number // tracks}"))
    with (out / "groups.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["filename", "group"])
        writer.writerows(groups)
