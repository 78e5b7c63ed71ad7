"""Pictures and sounds of a recording or a dataset, before anything is classified."""

SECONDS = 30.0  # shown of a recording
