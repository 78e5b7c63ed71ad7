"""EfficientAT's network and the spectrogram that it takes, in plain torch; other rooms load or train it."""
