"""Web servers on this machine: the MLflow dashboard with the report, and a page that classifies recordings."""
