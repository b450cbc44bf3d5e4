"""Errors of datasets and artifacts."""


class ArtifactError(Exception):
    """An artifact or dataset is missing, damaged, or not what its manifest says."""
