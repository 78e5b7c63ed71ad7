"""Models for use without the pipeline: the champion of a dataset, MLflow packages and ONNX files."""
