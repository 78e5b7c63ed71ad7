"""Sounds of a street without an emergency vehicle: engines, tyres, wind, and what shares the sirens' band.

Each function takes a random generator and a number of samples and returns that many, at no particular level.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from earshot.audio.mix import mix_at_snr
from earshot.datasets.synthetic.sound import (
    band,
    coloured_noise,
    equalise,
    harmonic_tone,
    phase,
    ramp,
    random_curve,
    rounded,
    sweep,
)

RATE = 16_000  # samples per second

# The vowels of "heed", "had", "hod", "hawed" and "who'd": formants in Hz, means over men from G. Peterson and
# H. Barney, "Control methods used in a study of the vowels", JASA 24, 1952.
FORMANTS = np.array([[270, 2290, 3010], [660, 1720, 2410], [730, 1090, 2440], [570, 840, 2410], [300, 870, 2240]])
FORMANT_GAINS = (1.0, 0.6, 0.3)


def _seconds(samples: int) -> np.ndarray:
    return np.arange(samples) / RATE


def _bursts(rng: np.random.Generator, samples: int, shortest: float, longest: float) -> np.ndarray:
    """Return an envelope of bursts, `shortest` to `longest` seconds each, with pauses half as long."""
    envelope = np.zeros(samples)
    start = 0
    while start < samples:
        length, pause = rng.uniform(shortest, longest, 2) * RATE * [1, 0.35]
        envelope[start : start + int(length)] = 1
        start += int(length + pause)
    return rounded(envelope, 0.02, RATE)


def _tune(rng: np.random.Generator, samples: int, lowest: float, per_second: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a tune: frequency in Hz and seconds since the note began, both per sample.

    It is a phrase of four to eight notes of a pentatonic scale, played over and over.
    """
    scale = lowest * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    phrase = rng.choice(scale, rng.integers(4, 9))
    notes = per_second * _seconds(samples)
    return phrase[notes.astype(int) % len(phrase)], notes % 1 / per_second


def _voice(rng: np.random.Generator, pitch: np.ndarray, vowels_per_second: float) -> np.ndarray:
    """Return a voice with the given pitch (Hz per sample) that glides between vowels."""
    glottis = ramp(phase(pitch, RATE))
    vowels = rng.integers(0, len(FORMANTS), int(len(pitch) / RATE * vowels_per_second) + 1)
    vowel = vowels[(_seconds(len(pitch)) * vowels_per_second).astype(int)]
    voice = np.zeros(len(pitch))
    for index, formants in enumerate(FORMANTS * rng.uniform(0.95, 1.25)):
        resonances = [signal.iirpeak(formant, 8, RATE) for formant in formants]
        spoken = sum(gain * signal.lfilter(*r, glottis) for gain, r in zip(FORMANT_GAINS, resonances, strict=True))
        voice += spoken * rounded((vowel == index).astype(float), 0.08, RATE)
    return voice


def horn(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a car horn: two steady tones about a third apart, in long and short bursts."""
    amplitudes = np.arange(1, 11) ** -rng.uniform(0.5, 1.2)
    low = rng.uniform(330, 480)
    high = low * rng.uniform(1.18, 1.34)
    tones = sum(harmonic_tone(np.full(samples, tone), amplitudes, RATE) for tone in (low, high))
    return tones * _bursts(rng, samples, 0.3, 2.5)


def reversing_beeper(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a reversing lorry's beeper: one tone of 900 to 1600 Hz, on and off once or twice a second."""
    on = (rng.uniform(0.8, 2.2) * _seconds(samples) + rng.uniform()) % 1 < rng.uniform(0.45, 0.65)
    tone = harmonic_tone(np.full(samples, rng.uniform(900, 1600)), [1, *rng.uniform(0, 0.4, 2)], RATE)
    return tone * rounded(on.astype(float), 0.02, RATE)


def theft_alarm(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a car alarm: chirps with pauses between, which Title 13 section 1021 tells from a siren."""
    low = rng.uniform(600, 1000)
    shape = rng.choice([0.02, 0.98])
    chirps = sweep(samples, rng.uniform(1.0, 9.0), low, low * rng.uniform(1.3, 2), shape, 0, RATE)
    return harmonic_tone(chirps, np.arange(1, 7) ** -1.2, RATE) * _bursts(rng, samples, 0.4, 1.5)


def ice_cream_van(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return an ice-cream van's music box: plucked notes between 600 and 2150 Hz."""
    frequency, age = _tune(rng, samples, rng.uniform(600, 850), rng.uniform(2.5, 6))
    return harmonic_tone(frequency, [1, 0.3, 0.5, 0.1, 0.2], RATE) * np.exp(-age * rng.uniform(1, 5))


def street_music(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return music from a car: a tune over a pumping bass."""
    beats = rng.uniform(1.5, 2.4)
    frequency, age = _tune(rng, samples, rng.uniform(300, 600), beats * rng.choice([1, 2]))
    tune = harmonic_tone(rounded(frequency, 0.03, RATE), np.arange(1, 9) ** -1.1, RATE)
    bass = harmonic_tone(np.full(samples, rng.uniform(50, 90)), [1, 0.6, 0.4, 0.2], RATE)
    return tune * (0.3 + np.exp(-age * 4)) + bass * np.exp(-6 * (beats * _seconds(samples) % 1))


def speech(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return something like speech: a pitch that wanders, vowels, and pauses between words."""
    wander = rng.uniform(0.2, 0.6) * random_curve(rng, samples, 2.5 * samples / RATE)
    return _voice(rng, rng.uniform(95, 240) * 2**wander, rng.uniform(4, 7)) * _bursts(rng, samples, 0.3, 1.2)


def singing(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return something like singing: long notes with 5 to 7 Hz vibrato and glides between."""
    notes, _ = _tune(rng, samples, rng.uniform(180, 440), rng.uniform(0.6, 2))
    vibrato = 1 + rng.uniform(0.01, 0.05) * np.sin(2 * np.pi * rng.uniform(5, 7) * _seconds(samples))
    return _voice(rng, rounded(notes, 0.12, RATE) * vibrato, rng.uniform(0.6, 2))


def brake_squeal(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return squealing brakes: an unsteady tone that glides as the wheel slows down, again and again."""
    glide = rng.uniform(0.1, 0.5) * random_curve(rng, samples, samples / RATE * rng.uniform(0.5, 1.5))
    flutter = 0.02 * random_curve(rng, samples, samples / RATE * 30)
    tone = harmonic_tone(rng.uniform(700, 1500) * 2 ** (glide + flutter), [1, 0.5, 0.2, 0.1], RATE)
    return tone * _bursts(rng, samples, 1.0, 4.0)


def motorbike(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a motorbike that accelerates through its gears: harmonics that sweep up and fall back."""
    low, high, gears = rng.uniform(80, 130), rng.uniform(200, 380), rng.uniform(0.25, 0.8)
    firing = sweep(samples, gears, low, high, 0.92, rng.uniform(), RATE)
    jitter = 2 ** (0.03 * random_curve(rng, samples, samples / RATE * 10))
    exhaust = [100, rng.uniform(250, 500), rng.uniform(700, 1400), 3000, 7000]
    return equalise(ramp(phase(firing * jitter, RATE)), exhaust, [-12, 0, 3, -9, -24], RATE)


IN_THE_SIREN_BAND = {
    sound.__name__: sound
    for sound in (
        horn,
        reversing_beeper,
        theft_alarm,
        ice_cream_van,
        street_music,
        speech,
        singing,
        brake_squeal,
        motorbike,
    )
}


def engine(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return an engine whose speed drifts: it fires 25 to 70 times a second, every second stroke harder."""
    drift = rng.uniform(0.05, 0.4) * random_curve(rng, samples, samples / RATE)
    turning = phase(rng.uniform(25, 70) * 2**drift, RATE)
    strokes = ramp(turning) * (1 + 0.4 * np.sin(turning / 2))
    body = [40, rng.uniform(90, 200), rng.uniform(400, 900), 3000]
    return equalise(strokes, body, [-6, 0, -6, -30], RATE)


def tyres(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return tyres of cars that pass one after the other: noise around 1 kHz that swells and fades."""
    passes = samples / RATE * rng.uniform(0.2, 0.7)
    swell = 10 ** (rng.uniform(0.2, 0.6) * random_curve(rng, samples, passes))
    low, high = rng.uniform(350, 700), rng.uniform(1300, 2600)
    return band(coloured_noise(rng, samples, 1.0), low, high, RATE) * swell


def wind(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return wind in the microphone: gusts of low noise."""
    gusts = 10 ** (0.5 * random_curve(rng, samples, samples / RATE * 1.5))
    return coloured_noise(rng, samples, 2.0) * gusts


def street(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return street noise: rumble, tyres, wind, an engine and up to two of the sounds in the siren band."""
    noise = coloured_noise(rng, samples, rng.uniform(1.0, 1.8))
    for part in (tyres, wind, engine):
        noise = mix_at_snr(part(rng, samples), noise, rng.uniform(-12, 6))
    for name in rng.choice(list(IN_THE_SIREN_BAND), rng.integers(0, 3), replace=False):
        noise = mix_at_snr(IN_THE_SIREN_BAND[name](rng, samples), noise, rng.uniform(-14, -4))
    return noise
