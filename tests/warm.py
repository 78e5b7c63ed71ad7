"""What workers have imported before they are forked: each would take seconds for it."""

import hydra  # noqa: F401
import sklearn.metrics  # noqa: F401

import earshot.batches.prepare
import earshot.evaluation.test
import earshot.soundscapes.of_part
import earshot.tracking.figures
import earshot.tracking.imported
import earshot.training.runs  # noqa: F401
