"""The class that serves a champion in MLflow: recordings in, labels and events out. MLflow runs this; no pickle."""

from __future__ import annotations

import base64
import binascii
import contextlib
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from earshot.audio import decode, sources
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.detection.rule import point_of
from earshot.errors import EarshotError

with contextlib.suppress(ImportError):
    import custom  # noqa: F401  the one that came with the model, whatever the folder that it is served from has


class Listener(PythonModel):
    """Predicts label, scores and events of rows with `audio` or `samples`; see `package.signature`."""

    def load_context(self, context):
        """Read model.safetensors and config.json."""
        self.detector = Detector.load(Path(context.artifacts["model"]))

    def predict(self, context, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the prediction for each row.

        Raises
        ------
        MlflowException
            Naming the row and what is wrong with it; the server answers with status 400.
        """
        answers = []
        for number, row in enumerate(model_input.to_dict("records") or [{}]):  # MLflow drops columns it does not know
            try:
                answers.append(self._answer(row, params or {}))
            except EarshotError as error:
                raise MlflowException.invalid_parameter_value(f"row {number}: {error}") from None
        return answers

    def _answer(self, row: dict[str, Any], params: dict[str, float]) -> dict[str, Any]:
        given = {name: value for name, value in row.items() if np.ndim(value) or not pd.isna(value)}
        if given.keys() == {"audio"}:
            blocks = self._decoded(given["audio"])
        elif given.keys() == {"samples", "sample_rate"} and given["sample_rate"] > 0:
            samples = np.asarray(given["samples"], np.float32).reshape(-1, 1)
            blocks = list(decode.at_rate(int(given["sample_rate"]), [samples], self.detector.sample_rate))
        else:
            raise EarshotError(
                "give either `audio` (a file, base64), or `samples` (mono, full scale 1) and `sample_rate` (in Hz)"
            )
        own = point_of(self.detector.settings)  # MLflow gives for every parameter its default where a request has none
        given = {name: value for name, value in params.items() if value != own[name]}
        result = answer(self.detector, blocks, self.detector.rules(**given), self.detector.classes)
        return {"label": result.label, **asdict(result)}

    def _decoded(self, encoded: str) -> list[np.ndarray]:
        try:
            content = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EarshotError(f"`audio` is not base64 ({error})") from None
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            sources.check(Path(file.name))
            return list(sources.blocks(Path(file.name), self.detector.sample_rate))


set_model(Listener())
