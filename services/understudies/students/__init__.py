"""Students: one interface, one file for each kind, and the artifacts and datasets they come from."""

from understudies.students.answer_key import answer_key
from understudies.students.artifact import Consent, Manifest, read_artifact, read_manifest, write_artifact
from understudies.students.base import (
    Answer,
    ArtifactError,
    ClosableStudent,
    ConfidenceTooLow,
    GeneratingStudent,
    PricedStudent,
    Student,
    StudentError,
    close_student,
    request_text,
    student_cost,
    text_answer,
)
from understudies.students.clusters import Conversation, Conversations, group_conversations, shared_openings
from understudies.students.context import NO_CONTEXT, SystemTemplate
from understudies.students.dataset import Dataset, Example, read_dataset, write_dataset
from understudies.students.endpoint import Endpoint, EndpointSettings
from understudies.students.files import ObjectStore
from understudies.students.head import HeadInputs, HeadStudent, add_head, input_name
from understudies.students.inputs import Input, identify_input
from understudies.students.load import load_student
from understudies.students.shelf import StudentCache

__all__ = [
    "NO_CONTEXT",
    "Answer",
    "ArtifactError",
    "ClosableStudent",
    "Conversation",
    "Conversations",
    "Consent",
    "Dataset",
    "Endpoint",
    "EndpointSettings",
    "Example",
    "ObjectStore",
    "GeneratingStudent",
    "HeadInputs",
    "HeadStudent",
    "Input",
    "Manifest",
    "PricedStudent",
    "StudentCache",
    "Student",
    "StudentError",
    "SystemTemplate",
    "ConfidenceTooLow",
    "answer_key",
    "close_student",
    "group_conversations",
    "identify_input",
    "load_student",
    "input_name",
    "shared_openings",
    "read_artifact",
    "read_dataset",
    "read_manifest",
    "request_text",
    "student_cost",
    "text_answer",
    "add_head",
    "write_artifact",
    "write_dataset",
]
