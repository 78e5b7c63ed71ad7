"""The same in Keras, as the tutorial has it: an epoch each time a line comes in; for training.py.

python benchmarks/peer_keras.py INPUT MODEL WIRING THREADS (0: as TensorFlow chooses)
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def network(model: str, wiring: str, shape: tuple[int, int]):
    """Return the tutorial's network, with both readings of how its layers are connected."""
    import keras
    from keras import layers

    inputs = x = keras.Input(shape)
    if model == "cnn":
        for filters, kernel in ((8, 13), (16, 11))[wiring == "as_coded" :]:
            x = layers.Conv1D(filters, kernel, padding="same", activation="relu")(x)
            x = layers.MaxPooling1D(2)(layers.Dropout(0.3)(x))
        x = layers.Dense(16, activation="relu")(layers.GlobalMaxPool1D()(x))
    else:
        for units in (128, 128)[2 * (wiring == "as_coded") :]:
            x = layers.Dropout(0.3)(layers.LSTM(units, return_sequences=True)(x))
        x = layers.Dense(64, activation="relu")(layers.Dropout(0.3)(layers.LSTM(64)(x)))
    built = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    built.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.001), metrics=["accuracy"])
    return built


def main() -> None:
    """Answer until there are no more lines."""
    input_name, model, wiring, threads = sys.argv[1:]
    import tensorflow as tf
    from measure import answer, seconds
    from windows import EXAMPLES, windows_of

    if int(threads):
        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    x, y = (part.numpy() for part in windows_of(input_name)[list(range(EXAMPLES))])
    if input_name == "waveform" and model == "lstm":
        x = x.reshape(EXAMPLES, 200, 160)
    built = network(model, wiring, x.shape[1:])
    built.fit(x[:64], y[:64], batch_size=32, epochs=1, verbose=0)
    answer(lambda: EXAMPLES / seconds(lambda: built.fit(x, y, batch_size=32, epochs=1, verbose=0)))


if __name__ == "__main__":
    main()
