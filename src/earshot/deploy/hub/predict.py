"""Classify a recording with the model beside this file; needs numpy and onnxruntime alone.

python predict.py street.wav
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime


def read(name: str, rate: int) -> np.ndarray:
    """Return a WAV file of 16 bit as mono samples with full scale 1: float32, shape (n,)."""
    with wave.open(name) as file:
        if (file.getsampwidth(), file.getframerate()) != (2, rate):
            raise SystemExit(
                f"{name}: needs 16 bit at {rate} Hz: ffmpeg -i {name} -ar {rate} -sample_fmt s16 other.wav"
            )
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    return (pcm / 2**15).mean(axis=1).astype(np.float32)


def main() -> None:
    """Print a line for each window: where it begins, its class, and the probability of each class."""
    session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    classes, rate, seconds, hop = (json.loads(about[key]) for key in ("classes", "sample_rate", "seconds", "hop"))
    [name] = sys.argv[1:] or sys.exit("usage: python predict.py FILE.wav")
    samples, length = read(name, rate), round(seconds * rate)
    if len(samples) < length:
        raise SystemExit(f"{name}: has {len(samples) / rate:g} s, and the model hears {seconds:g} s at a time")
    print("seconds", "class", *classes, sep="\t")
    for first in range(0, len(samples) - length + 1, round(hop * rate)):
        [[row]] = session.run(["probabilities"], {"samples": samples[None, first : first + length]})
        print(f"{first / rate:g}", classes[row.argmax()], *(f"{value:.6f}" for value in row), sep="\t")


if __name__ == "__main__":
    main()
