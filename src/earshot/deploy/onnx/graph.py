"""A trained model and all that comes before it, from the samples on, as one module that torch can export."""

from __future__ import annotations

import torch
from torch import nn

from earshot.deploy.onnx.backbone import EmbeddingRows, exportable
from earshot.deploy.onnx.calibrated import Calibrated
from earshot.deploy.onnx.rows import LogMelRows, LogSpectrogramRows, WaveformRows
from earshot.deploy.onnx.summary import SummaryRows
from earshot.errors import EarshotError
from earshot.inputs import Input, LogMel, LogSpectrogram, PcenMel, Summary, Waveform
from earshot.inputs.embedding import Embedding, Tags
from earshot.metrics.calibration import Calibration
from earshot.models import heads

# for each input a module that does on a batch, float32, (B, samples) -> (B, T, F), what its `extract` does on a window
ROWS = {
    Summary: SummaryRows,
    Waveform: WaveformRows,
    LogSpectrogram: LogSpectrogramRows,
    LogMel: LogMelRows,
    PcenMel: LogMelRows,
    Embedding: EmbeddingRows,
    Tags: EmbeddingRows,
}


class Graph(nn.Module):
    """`predict.of_samples` in torch alone: float32, (windows, samples) -> (windows, classes).

    Of a model of frames it gives both, see `predict.of_frames`: (windows, classes) and (windows, frames, classes).
    """

    def __init__(
        self,
        built: Input,
        net: nn.Module,
        multi_label: bool = False,
        calibration: Calibration | None = None,
        frames: bool = False,
    ):
        """Take the input that the model was trained on, the model, ready to predict, and its calibration.

        Parameters
        ----------
        frames : whether the model has frames

        Raises
        ------
        EarshotError
            If nobody has written the input as torch computes it.
        """
        super().__init__()
        if type(built) not in ROWS:
            known = ", ".join(sorted(known.__name__ for known in ROWS))
            raise EarshotError(f"an input {type(built).__name__} can't be exported to ONNX, only {known} can")
        self.rows, self.finish, self.net = ROWS[type(built)](built), built.finish, exportable(net)
        self.multi_label, self.frames = multi_label, frames
        self.calibrated = Calibrated(calibration, multi_label) if calibration else nn.Identity()

    def forward(self, samples: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return the probability of each class."""
        x = self.finish(self.rows(samples)).float()
        if not self.frames:
            return self._probabilities(self.net(x))
        logits = self.net.model.frames(x)
        by_frame = self._probabilities(logits.flatten(0, 1))
        return self._probabilities(logits.mean(dim=1)), by_frame.unflatten(0, logits.shape[:2])

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.calibrated(heads.probabilities(logits, self.multi_label))
        return found
