"""Mixing sounds at a signal-to-noise ratio."""

from __future__ import annotations

import numpy as np


def at_rms(sound: np.ndarray, rms: float) -> np.ndarray:
    """Scale the sound to a root mean square of `rms`."""
    return sound * (rms / np.sqrt(np.mean(sound**2)))


def mix_at_snr(foreground: np.ndarray, background: np.ndarray, snr_db: float) -> np.ndarray:
    """Add the foreground to the background, `snr_db` dB above it (mean power over the whole length)."""
    rms = np.sqrt(np.mean(background**2))
    return background + at_rms(foreground, rms * 10 ** (snr_db / 20))


def mixed(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise to a signal at a signal-to-noise ratio; what would clip is turned down as a whole.

    Parameters
    ----------
    signal, noise : float32, shape (n,); the noise is scaled, by the mean power of both
    snr_db : in dB; infinite for no noise
    """
    if np.isinf(snr_db) or np.mean(noise**2) == 0:
        return signal
    total = mix_at_snr(noise, signal, -float(snr_db))
    return total / max(1.0, np.abs(total).max())
