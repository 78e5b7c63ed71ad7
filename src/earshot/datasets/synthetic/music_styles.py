"""How the ten genres of the synthetic music are played: tempo, groove, harmony, instruments and mix."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = 16  # sixteenth notes in a bar

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
    """A genre: beats per minute, groove, harmony, instruments and mix.

    Patterns have a character for each sixteenth of a bar, "x" where a note starts. `swing` is the share of an
    eighth-note pair that the first note takes. `roots` are the chords' roots in semitones above the key, one
    for each bar. `loudness` is the level in dB of drums, bass, chords and lead; `tone` that of lows, mids
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
        tempo=(75, 115), swing=0.64, density=0.5, drive=1.0,
        kick="x.......x.......", snare=BACKBEAT,
        hat=EIGHTHS, bass_line=QUARTERS,
        strum="x.....x.x.....x.", chord=SEVENTH,
        roots=(0, 5, 0, 7, 5, 0), scale=BLUES,
        instruments=(BASS, GUITAR, GUITAR),
        loudness=(-3, 0, -3, 0), tone=(0, 5, -4),
    ),
    "classical": Style(
        tempo=(70, 130), swing=0.5, density=0.7, drive=0.0,
        kick=NONE, snare=NONE,
        hat=NONE, bass_line="x.......x.......",
        strum="x.......x.......", chord=TRIAD,
        roots=(0, 5, 7, 0, 9, 2, 7, 0), scale=MAJOR,
        instruments=(STRINGS, STRINGS, STRINGS),
        loudness=(0, -4, -2, 0), tone=(-5, 0, -9),
    ),
    "country": Style(
        tempo=(90, 135), swing=0.54, density=0.6, drive=0.0,
        kick="x.......x.......", snare=BACKBEAT,
        hat=EIGHTHS, bass_line="x.......x.......",
        strum="....x.x.....x.x.", chord=TRIAD,
        roots=(0, 0, 5, 0, 7, 0), scale=PENTATONIC,
        instruments=(BASS, GUITAR, STEEL),
        loudness=(-6, 0, -1, 0), tone=(-5, 4, 3),
    ),
    "disco": Style(
        tempo=(112, 128), swing=0.5, density=0.4, drive=0.0,
        kick=QUARTERS, snare=BACKBEAT,
        hat="..x...x...x...x.", bass_line=EIGHTHS,
        strum="..x...xx..x...x.", chord=MINOR_SEVENTH,
        roots=(0, 5, 10, 3), scale=MINOR,
        instruments=(BASS, STRINGS, STRINGS),
        loudness=(2, 0, -3, -3), tone=(3, -3, 3),
    ),
    "hiphop": Style(
        tempo=(80, 104), swing=0.56, density=0.35, drive=0.0,
        kick="x..x......x.....", snare=BACKBEAT,
        hat=EIGHTHS, bass_line="x..x......x.....",
        strum="x.......x.......", chord=MINOR_SEVENTH,
        roots=(0, 0, 8, 7), scale=MINOR,
        instruments=(SUB_BASS, PIANO, SYNTH),
        loudness=(3, 3, -6, -6), tone=(7, -3, 0),
    ),
    "jazz": Style(
        tempo=(100, 180), swing=0.66, density=0.7, drive=0.0,
        kick="x...............", snare="......x.......x.",
        hat="x...x.x.x...x.x.", bass_line=QUARTERS,
        strum="x.....x....x....", chord=MAJOR_SEVENTH,
        roots=(2, 7, 0, 9), scale=MAJOR,
        instruments=(BASS, PIANO, SAXOPHONE),
        loudness=(-5, 0, -3, 0), tone=(1, 4, -1),
    ),
    "metal": Style(
        tempo=(115, 175), swing=0.5, density=0.4, drive=8.0,
        kick="x.xxx.xxx.xxx.xx", snare=BACKBEAT,
        hat=EIGHTHS, bass_line="x.xxx.xxx.xxx.xx",
        strum="x.xxx.xxx.xxx.xx", chord=POWER,
        roots=(0, 0, 1, 8), scale=MINOR,
        instruments=(BASS, GUITAR, GUITAR),
        loudness=(0, -3, 2, -5), tone=(2, -5, 6),
    ),
    "pop": Style(
        tempo=(96, 130), swing=0.5, density=0.5, drive=0.0,
        kick="x.....x.x.......", snare=BACKBEAT,
        hat=EIGHTHS, bass_line=EIGHTHS,
        strum="x...x...x...x.x.", chord=TRIAD,
        roots=(0, 7, 9, 5), scale=PENTATONIC,
        instruments=(BASS, SYNTH, SYNTH),
        loudness=(0, 0, -2, 1), tone=(-1, -1, 8),
    ),
    "reggae": Style(
        tempo=(70, 96), swing=0.56, density=0.35, drive=0.0,
        kick="........x.......", snare="........x.......",
        hat=EIGHTHS, bass_line="x..x..x.x...x...",
        strum="....x.......x...", chord=MINOR_TRIAD,
        roots=(0, 5, 0, 10), scale=MINOR,
        instruments=(SUB_BASS, ORGAN, ORGAN),
        loudness=(-1, 3, -1, -4), tone=(6, 2, -6),
    ),
    "rock": Style(
        tempo=(104, 148), swing=0.5, density=0.45, drive=3.0,
        kick="x.......x.x.....", snare=BACKBEAT,
        hat=EIGHTHS, bass_line=EIGHTHS,
        strum="x.x.x.x.x.x.x.x.", chord=POWER,
        roots=(0, 5, 7, 5), scale=PENTATONIC,
        instruments=(BASS, GUITAR, GUITAR),
        loudness=(0, -2, 0, -2), tone=(2, 3, 2),
    ),
}  # fmt: skip
