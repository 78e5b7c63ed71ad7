"""Scores a recording's windows as a script would that loads a network of its own: librosa and plain torch.

python benchmarks/peer_predict.py RECORDING
"""

from __future__ import annotations

import sys

import librosa
import numpy as np
import torch
from torch import nn

RATE, N_FFT, HOP, BANDS = 16000, 400, 160, 64


def main() -> None:
    """Print the scores of windows of 2 s, one every second."""
    samples, _ = librosa.load(sys.argv[1], sr=RATE)
    windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * RATE)[::RATE]
    power = librosa.feature.melspectrogram(y=windows, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=BANDS)
    rows = torch.from_numpy(librosa.power_to_db(power, top_db=None)).float()
    net = nn.Sequential(nn.Conv1d(BANDS, 16, 11, padding="same"), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    net = nn.Sequential(net, nn.Linear(16, 2), nn.Softmax(dim=1)).eval()
    with torch.inference_mode():
        print(net(rows).numpy())


if __name__ == "__main__":
    main()
