"""Pages on this machine: the MLflow dashboard with the report, and a page that listens to recordings."""
