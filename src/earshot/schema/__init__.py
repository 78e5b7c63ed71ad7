"""What may stand in the settings: the schemas of params.yaml and of a run of conf/, and each fault told in a line."""
