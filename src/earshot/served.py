"""A trained model as MLflow serves it: windows of sound in, probabilities out. MLflow runs this file; no pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from earshot import predict


class Windows(PythonModel):
    """Windows of mono sound, float32 of shape (windows, samples), to float32 of shape (windows, classes)."""

    def load_context(self, context):
        """Read model.safetensors and config.json."""
        self.settings, weights = predict.read(Path(context.artifacts["model"]))
        self.net = predict.restore(self.settings, weights)

    def predict(self, context, model_input: np.ndarray, params=None) -> np.ndarray:
        """Return the probability of each class."""
        return predict.of_samples(self.settings, self.net, np.asarray(model_input, np.float32))


set_model(Windows())
