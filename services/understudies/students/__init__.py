"""Students: one interface, one file for each kind, and the artifacts and datasets they come from."""

from understudies.students.answer_key import answer_key
from understudies.students.artifact import Consent, Manifest, read_artifact, read_manifest, write_artifact
from understudies.students.base import (
    Answer,
    ArtifactError,
    Closing,
    Generating,
    Priced,
    Student,
    StudentError,
    Unsure,
    close_student,
    request_text,
    student_cost,
    text_answer,
)
from understudies.students.clusters import Cluster, Clusters, clustered, openings_of
from understudies.students.context import NO_CONTEXT, SystemTemplate
from understudies.students.dataset import Dataset, Example, read_dataset, write_dataset
from understudies.students.endpoint import Endpoint, Endpoints
from understudies.students.files import Files
from understudies.students.head import Head, HeadStudent, name_of, with_head
from understudies.students.inputs import Input, input_of
from understudies.students.load import load_student
from understudies.students.shelf import Shelf

__all__ = [
    "NO_CONTEXT",
    "Answer",
    "ArtifactError",
    "Closing",
    "Cluster",
    "Clusters",
    "Consent",
    "Dataset",
    "Endpoint",
    "Endpoints",
    "Example",
    "Files",
    "Generating",
    "Head",
    "HeadStudent",
    "Input",
    "Manifest",
    "Priced",
    "Shelf",
    "Student",
    "StudentError",
    "SystemTemplate",
    "Unsure",
    "answer_key",
    "close_student",
    "clustered",
    "input_of",
    "load_student",
    "name_of",
    "openings_of",
    "read_artifact",
    "read_dataset",
    "read_manifest",
    "request_text",
    "student_cost",
    "text_answer",
    "with_head",
    "write_artifact",
    "write_dataset",
]
