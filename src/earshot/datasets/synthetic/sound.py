"""Pieces of sound the synthetic datasets are put together from: tones, noises, rooms, passing vehicles.

All functions are pure. A signal is a float array of shape (samples,) at `rate` samples per second.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, interpolate, ndimage, signal

from earshot.audio.mix import at_rms

SPEED_OF_SOUND = 343.0  # m/s, in air at 20 °C


def phase(frequency: np.ndarray, rate: int) -> np.ndarray:
    """Return the phase in radians of an oscillator that follows `frequency` (Hz at each sample)."""
    return 2 * np.pi * np.cumsum(frequency) / rate


def ramp(angle: np.ndarray) -> np.ndarray:
    """Return a falling sawtooth wave in [-1, 1] of the given phase in radians: all harmonics, as 1/n."""
    return 1 - (angle / np.pi) % 2


def harmonic_tone(frequency: np.ndarray, amplitudes: np.ndarray, rate: int) -> np.ndarray:
    """Sum harmonics 1, 2, ... of a `frequency` track (Hz at each sample) with the given amplitudes.

    A harmonic is silent while it is above 0.45 of the rate, so nothing is aliased.
    """
    angle = phase(frequency, rate)
    before, harmonic, twice_cosine = np.zeros(len(angle)), np.sin(angle), 2 * np.cos(angle)
    tone = np.zeros(len(angle))
    highest = 0.45 * rate / frequency
    certain = highest.min()
    for number, amplitude in enumerate(amplitudes, start=1):
        tone += amplitude * (harmonic if number < certain else harmonic * (number < highest))
        # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x), much cheaper than a sine each
        before, harmonic = harmonic, twice_cosine * harmonic - before
    return tone


def sweep(samples: int, cycles: float, low: float, high: float, rising: float, start: float, rate: int) -> np.ndarray:
    """Return a frequency track that sweeps between `low` and `high` Hz on a log scale.

    It does so `cycles` times a second, up for a `rising` share of each cycle, and begins `start` cycles in.
    """
    turns = cycles * np.arange(samples) / rate + start
    position = (1 + signal.sawtooth(2 * np.pi * turns, rising)) / 2
    return low * (high / low) ** position


def rounded(steps: np.ndarray, seconds: float, rate: int) -> np.ndarray:
    """Turn the steps of an envelope or a frequency track into ramps of `seconds`."""
    return ndimage.uniform_filter1d(steps, max(int(seconds * rate), 1), mode="nearest")


def coloured_noise(rng: np.random.Generator, samples: int, slope: float) -> np.ndarray:
    """Return noise with power falling as 1/f**slope and RMS 1: 0 is white, 1 pink, 2 brown."""
    length = fft.next_fast_len(samples, real=True)
    spectrum = fft.rfft(rng.standard_normal(length))
    bins = np.arange(len(spectrum))
    # Flat below a 400th of the band (20 Hz of 8 kHz), where the slope would pump up what nobody hears.
    spectrum *= np.maximum(bins, len(bins) / 400) ** (-slope / 2)
    return at_rms(fft.irfft(spectrum, length)[:samples], 1.0)


def random_curve(rng: np.random.Generator, samples: int, knots: float) -> np.ndarray:
    """Return a smooth curve that wanders in [-1, 1] through about `knots` random points."""
    points = max(int(knots), 1) + 2
    values = rng.uniform(-1, 1, points)
    curve = interpolate.PchipInterpolator(np.linspace(0, 1, points), values)
    coarse = np.linspace(0, 1, 50 * points)  # straight lines between are close enough, and much faster
    return np.interp(np.linspace(0, 1, samples), coarse, curve(coarse))


def band(sound: np.ndarray, low: float, high: float, rate: int) -> np.ndarray:
    """Keep the band from `low` to `high` Hz (second-order Butterworth slopes)."""
    return signal.sosfilt(signal.butter(2, [low, high], "bandpass", fs=rate, output="sos"), sound)


def equalise(sound: np.ndarray, frequencies: np.ndarray, gains_db: np.ndarray, rate: int) -> np.ndarray:
    """Apply gains (dB at `frequencies` in Hz, rising), interpolated over log frequency, with zero phase."""
    length = fft.next_fast_len(len(sound), real=True)
    spectrum = fft.rfft(sound, length)
    bins = np.maximum(fft.rfftfreq(length, 1 / rate), 1.0)
    gains = np.interp(np.log(bins), np.log(frequencies), gains_db)
    return fft.irfft(spectrum * 10 ** (gains / 20), length)[: len(sound)]


def room(rng: np.random.Generator, decay: float, wet_db: float, rate: int) -> np.ndarray:
    """Return a room's impulse response: direct sound, six early echoes, and a tail of fading noise.

    `decay` is the reverberation time RT60 in seconds, at least 0.1; `wet_db` is the energy of echoes and tail
    against the direct sound. The tail is Moorer's: exponentially damped Gaussian noise (J. A. Moorer, "About
    this reverberation business", Computer Music Journal 3(2), 1979).
    """
    time = np.arange(int(decay * rate)) / rate
    response = 0.03 * rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    response[rng.integers(int(0.004 * rate), int(0.06 * rate), 6)] += rng.uniform(-1, 1, 6)
    response *= 10 ** (wet_db / 20) / np.linalg.norm(response)
    response[0] = 1.0
    return response


def reverberate(sound: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Play the sound in a room; it keeps its length, the tail after the end is lost."""
    return signal.oaconvolve(sound, response)[: len(sound)]


def pass_by(sound: np.ndarray, samples: int, *, speed: float, distance: float, closest: float, rate: int) -> np.ndarray:
    """Return `samples` samples heard at the kerb from a source that drives past on a straight line.

    `speed` is in m/s; `distance` is that of the closest point in m, passed `closest` seconds after the start.
    The propagation delay r(t)/c resamples the emitted sound (the Doppler shift) and its level falls as 1/r;
    the gain at the closest point is 1. `sound` must last (1 + speed/c) times as long as what is heard.
    """
    emitted = np.arange(len(sound)) / rate
    reach = np.hypot(distance, speed * (emitted - closest))
    arrived = emitted + (reach - reach[0]) / SPEED_OF_SOUND
    heard = np.interp(np.arange(samples) / rate, arrived, emitted)
    gain = distance / np.hypot(distance, speed * (heard - closest))
    return interpolate.CubicSpline(emitted, sound)(heard) * gain
