"""`earshot explore FILE`: a page with the features and the sound of one recording."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure

from earshot.errors import EarshotError
from earshot.explore import page, pictures, spectra
from earshot.explore.survey import Survey, dbfs, survey
from earshot.pages import numbers

ZOOM = 100  # samples in which zero crossings can be seen, as in the tutorial


def explore(path: Path, folder: Path, start: float, seconds: float, max_freq: float | None) -> Path:
    """Write FOLDER/index.html and a PNG for each picture; return the page's path.

    Parameters
    ----------
    path : a sound file
    folder : created where it is missing
    start, seconds : of the excerpt
    max_freq : the highest frequency of spectrum and spectrograms, in Hz; None: half the sample rate

    Raises
    ------
    EarshotError
        If the file is no sound (see `survey`), or has too little of it from `start` on.
    """
    recording = survey(path, start, seconds)
    shown, least = (
        n / recording.sample_rate for n in (len(recording.samples), spectra.log_window(recording.sample_rate))
    )
    if shown < least:
        raise EarshotError(
            f"{path} is {recording.seconds:g} s long, and {shown:g} s of it are asked for: pictures need {least:g} s "
            "or more. See --start and --seconds"
        )
    first, zoomed, crossed = _zoom(recording)
    with page.style_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="librosa")  # of silence, and of less than a window
        figures = _figures(recording, max_freq)
        figures["Zero crossings"] = pictures.crossings(zoomed, recording.sample_rate, first, crossed)
        plots = page.plots(figures, folder)
    return page.write(
        folder / "index.html",
        "sound.html.j2",
        name=path.name,
        facts=_facts(path, recording),
        sound=page.mp3_address(recording.samples, recording.sample_rate),
        excerpt=_excerpt(recording),
        window=f"{spectra.n_fft(recording.sample_rate) / recording.sample_rate * 1000:.0f} ms",
        zoomed=len(zoomed),
        crossings=int(crossed.sum()),
        plots=plots,
    )


def _zoom(recording: Survey) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the samples around the loudest one: the first one's second, the samples, where their sign changes."""
    loudest = int(np.abs(recording.samples).argmax())
    first = max(0, min(loudest - ZOOM // 2, len(recording.samples) - ZOOM))
    zoomed = recording.samples[first : first + ZOOM]
    return recording.start + first / recording.sample_rate, zoomed, spectra.zero_crossings(zoomed)


def _figures(recording: Survey, max_freq: float | None) -> dict[str, Figure]:
    """Draw the pictures of an excerpt, by title."""
    samples, rate = recording.samples, recording.sample_rate
    magnitude = spectra.stft(samples, rate)
    seconds = recording.start + spectra.times(magnitude, rate)
    bands = spectra.mel(magnitude, rate)
    hz, shown = spectra.below(spectra.frequencies(rate), magnitude, max_freq)
    log_hz, log_seconds, density = spectra.log_spectrogram(samples, rate)
    log_hz, density = spectra.below(log_hz, density, max_freq)
    figures = {
        "Waveform": pictures.waveform(recording),
        "Power spectrum": pictures.spectrum(*spectra.below(*spectra.power_spectrum(samples, rate), max_freq)),
        "STFT": pictures.spectrogram(recording, seconds, hz, shown, "magnitude", highest=99.5),
        "STFT in dB": pictures.spectrogram(recording, seconds, hz, spectra.decibels(shown), "dB"),
        "Log spectrogram": pictures.spectrogram(
            recording, recording.start + log_seconds, log_hz, density, "log density"
        ),
        "Mel spectrogram": pictures.mel(recording, seconds, spectra.mel_frequencies(len(bands), rate), bands),
        "MFCC": pictures.mfcc(recording, seconds, spectra.mfcc(bands)),
        "Chroma": pictures.chroma(recording, seconds, spectra.chroma(magnitude, rate)),
        "Centroid and roll-off": pictures.curves(recording, seconds, spectra.centres(magnitude, rate)),
        "Bandwidth": pictures.curves(recording, seconds, spectra.bandwidths(magnitude, rate)),
    }
    return figures if recording.is_whole else {"Whole recording": pictures.outline(recording), **figures}


def _facts(path: Path, recording: Survey) -> dict[str, str]:
    rounded = numbers.duration(recording.seconds)
    return {
        "duration": f"{recording.seconds:g} s" + (f" ({rounded})" if not rounded.endswith(" s") else ""),
        "sample rate": f"{numbers.whole(recording.sample_rate)} Hz",
        "channels": str(recording.channels),
        **_coding(path),
        "peak": numbers.dbfs(dbfs(recording.peak)),
        "RMS": numbers.dbfs(dbfs(recording.rms)),
    }


def _coding(path: Path) -> dict[str, str]:
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError:  # m4a
        return {"format": path.suffix.lstrip(".")}
    depth = re.search(r"(\d+) bit", info.subtype_info)
    return {
        "format": f"{info.format_info}, {info.subtype_info}",
        "bit depth": depth.group(1) if depth else "none: the codec is lossy",
    }


def _excerpt(recording: Survey) -> str:
    start, end = recording.span
    averaged = f", the mean of {recording.channels} channels" if recording.channels > 1 else ""
    return f"Seconds {start:g} to {end:g} of {recording.seconds:g}{averaged}: what the pictures show."
