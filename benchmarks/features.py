"""How fast features are extracted, beside what people use: librosa's functions, scipy's and audioFlux.

Each way runs on one core (and earshot's stage on two as well), in turns, in this process; the files are read and
decoded by each. Needs the real recordings in EARSHOT_MIRROR. Writes build/bench/features.json.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import scipy.fft
import soundfile
import threadpoolctl
import tutorial
from measure import in_turns, ratio, seconds, table, write

from earshot import files, inputs
from earshot.audio import decode, spectrum
from earshot.datasets.place import Known
from earshot.datasets.reading import PLAIN
from earshot.inputs import extract
from earshot.processes import keep_memory
from earshot.settings import read_params

EVERY = 5  # one track in so many is timed; agreement is looked at on all of them
SECONDS = 600  # of a recording with windows


def librosa_script(path: Path) -> np.ndarray:
    """The genre tutorial's script for one track."""
    return np.array(tutorial.columns(*librosa.load(path, duration=30)))


def audioflux_script() -> Callable[[Path], object] | None:
    """Return what computes the same by audioFlux, but for chroma, which it defines otherwise; None without it."""
    try:
        import audioflux as af
        from audioflux.type import SpectralDataType, SpectralFilterBankScaleType
    except ImportError:
        return None
    linear = af.BFT(
        1025, radix2_exp=11, samplate=22050, slide_length=512, scale_type=SpectralFilterBankScaleType.LINEAR
    )
    mel = af.BFT(
        128,
        radix2_exp=11,
        samplate=22050,
        slide_length=512,
        scale_type=SpectralFilterBankScaleType.MEL,
        data_type=SpectralDataType.POWER,
    )
    cepstrum, spectral = af.XXCC(128), af.Spectral(1025, linear.get_fre_band_arr())
    temporal = af.Temporal(frame_length=2048, slide_length=512)

    def script(path: Path) -> object:
        y = soundfile.read(path, dtype="float32")[0][: 30 * 22050]
        magnitude = linear.bft(y, result_type=1)
        spectral.set_time_length(magnitude.shape[1])
        found = [spectral.centroid(magnitude), spectral.band_width(magnitude), spectral.rolloff(magnitude, 0.85)]
        found.append(temporal.temporal(y, has_rms=True, has_zcr=True))
        power = mel.bft(y, result_type=1)
        cepstrum.set_time_length(power.shape[1])
        return [*found, cepstrum.xxcc(power, 20)]

    return script


def stft_alone(path: Path) -> float:
    """What no way can do without: one short-time Fourier transform, of samples that are there."""
    y = decode.load(path, 22050)[: 30 * 22050]
    frames = spectrum.windowed(np.pad(y, 1024), spectrum.hann(2048, np.float32), 512)
    return seconds(lambda: scipy.fft.rfft(frames, axis=1))


def our_stage(built: inputs.Input, paths: list[Path], workers: int) -> float:
    """Seconds that the stage takes for all tracks, its processes included."""
    kept = Path(tempfile.mkdtemp())
    try:
        known = [Known(files.digest(path), "") for path in paths]
        jobs = [(kept / f"{n}.npy", path, PLAIN, one) for n, (path, one) in enumerate(zip(paths, known, strict=True))]
        return seconds(lambda: list(extract.extract_all(jobs, built, workers, "bench")))
    finally:
        shutil.rmtree(kept)


def summaries(mirror: Path) -> dict:
    """Compare the genre tutorial's 26 features on real tracks."""
    paths = sorted((mirror / "gtzan_mini" / "genres").rglob("*.wav"))
    built = inputs.build("summary", read_params(), "genres", clips=True)

    def ours(path: Path) -> np.ndarray:
        return np.concatenate(list(built.rows(decode.stream(path, built.sample_rate))))[0]

    theirs, found = (np.array([way(path) for path in paths]) for way in (librosa_script, ours))
    timed = paths[::EVERY]
    ways = {"librosa script": librosa_script, "audioFlux, without chroma": audioflux_script(), "earshot": ours}
    timers = {
        name: lambda way=way: seconds(lambda: [way(path) for path in timed]) / len(timed)
        for name, way in ways.items()
        if way is not None
    }
    timers["one short-time Fourier transform"] = lambda: sum(map(stft_alone, timed)) / len(timed)
    for workers in (1, 2):
        name = f"earshot's stage, {workers} process" + "es" * (workers > 1)
        timers[name] = lambda workers=workers: our_stage(built, paths, workers) / len(paths)
    return {
        "tracks": len(paths),
        "deviation": float((np.abs(found - theirs) / theirs.std(axis=0)).max()),
        "seconds": in_turns(timers),
    }


def windows_of(mirror: Path, name: str, theirs: Callable[[np.ndarray], np.ndarray], constant: float = 0.0) -> dict:
    """Compare an input over time: their function on each window, ours, and a constant more, once on the recording."""
    samples = decode.load(mirror / "sirens_standin" / "emergency.flac", 16000)[: SECONDS * 16000]
    built = inputs.build(name, read_params(), "sirens", clips=False)
    starts = range(SECONDS - 1)
    cut = partial(slice_of, samples)
    rows = np.concatenate(list(built.rows([samples])))
    n_rows = built.n_rows(2.0)
    worst, values = 0.0, []
    for start in starts:
        first = round(built.first_row(start))
        window = theirs(cut(start))
        worst = max(worst, float(np.abs(rows[first : first + n_rows] + constant - window).max()))
        values.append(window.std())
    timers = {
        "window by window": lambda: seconds(lambda: [theirs(cut(start)) for start in starts]),
        "earshot": lambda: seconds(lambda: [len(some) for some in built.rows([samples])]),
    }
    return {"deviation": worst / statistics.median(map(float, values)), "seconds": in_turns(timers)}


def slice_of(samples: np.ndarray, start: int) -> np.ndarray:
    """Return the window of 2 s from second `start`."""
    return samples[start * 16000 : (start + 2) * 16000]


def main() -> None:
    """Measure, print and write."""
    warnings.filterwarnings("ignore")
    keep_memory()
    threadpoolctl.threadpool_limits(1)  # one core for everybody
    mirror = Path(os.environ["EARSHOT_MIRROR"])
    found = {
        "summary": summaries(mirror),
        "log_spectrogram": windows_of(mirror, "log_spectrogram", tutorial.log_spectrogram, np.log(1e-10)),
        "log_mel": windows_of(mirror, "log_mel", tutorial.log_mel),
    }
    for name, facts in found.items():
        times = facts["seconds"]
        first, *_ = times
        print(f"\n{name}: largest difference {facts['deviation']:.1e} deviations")
        table(
            [
                [way, f"{statistics.median(t) * 1e3:.1f} ms", f"{ratio(times[first], t):.1f} x"]
                for way, t in times.items()
            ]
        )
    write("features", found)


if __name__ == "__main__":
    main()
