"""Load a student from its artifact."""

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.students.artifact import Manifest, read_artifact
from understudies.students.base import Student
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.head_inputs import HeadInputs, add_head
from understudies.students.lora.engine import LoraEngine


def load_student(
    object_store: ObjectStore,
    uri: str,
    endpoints: EndpointSettings | None = None,
    pools: EndpointPools | None = None,
    engine: LoraEngine | None = None,
) -> Student:
    """Load the student of an artifact, ready to answer.

    `endpoints` are the endpoints that students refer to by name, by default those of the environment; `pools` and the
    `engine` of LoRA students are shared with other students, and by default the student's own.
    Raises ArtifactError if the artifact is missing or damaged, its kind unknown, or a package that it needs not
    installed, and RetryLater if it cannot be read now.
    """
    manifest, content = read_artifact(object_store, uri)
    try:
        return add_head(_load_by_kind(manifest, content, endpoints, pools, engine), HeadInputs.from_files(content))
    except ImportError as error:
        extra = "lora" if manifest.kind == "lora" else "services"
        raise ArtifactError(
            f"a {manifest.kind} student needs the module {error.name!r}; install understudies[{extra}]"
        ) from error


def _load_by_kind(
    manifest: Manifest,
    content: dict[str, bytes],
    endpoints: EndpointSettings | None,
    pools: EndpointPools | None,
    engine: LoraEngine | None,
) -> Student:
    # Imported here, so that a process needs only the packages of its students.
    if manifest.kind == "cache":
        from understudies.students.exact_match import ExactMatchStudent

        return ExactMatchStudent.from_files(content)
    if manifest.kind == "classifier":
        from understudies.students.classifier.student import ClassifierStudent

        return ClassifierStudent.from_files(content)
    if manifest.kind == "extractor":
        from understudies.students.extractor.student import ExtractorStudent

        return ExtractorStudent.from_files(content)
    if manifest.kind == "lora":
        from understudies.students.lora.engines import create_engine
        from understudies.students.lora.student import LoraStudent

        return LoraStudent.from_files(content, engine or create_engine())
    if manifest.kind == "decision":
        from understudies.students.decision.student import DecisionStudent

        return DecisionStudent.from_files(content, endpoints or EndpointSettings(), pools)
    if manifest.kind in ("few_shot", "api_fine_tune", "prompt_optimised"):
        from understudies.students.few_shot.student import FewShotStudent

        return FewShotStudent.from_files(content, endpoints or EndpointSettings(), pools)
    raise ArtifactError(f"unknown kind of student {manifest.kind!r}; was it trained by a newer version?")
