"""Define the errors of datasets and artifacts."""


class ArtifactError(Exception):
    """Report an artifact or dataset that is missing, damaged, or does not match its manifest."""
