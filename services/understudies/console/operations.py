"""Serve what commands of an operator ask of a running process."""

from collections.abc import Mapping

from understudies.console.backups import BackupEndpoint, StageBackup
from understudies.console.erasures import ErasureEndpoint
from understudies.console.exports import ExportEndpoint, ReadExamples
from understudies.console.imports import ImportEndpoint
from understudies.erasure.erasure import Eraser
from understudies.router.endpoints.admin import AdminHandler
from understudies.status.access import StatusAccess
from understudies.status.standing import BACKUP_PATH, ERASURE_PATH, EXPORT_PATH, IMPORT_PATH
from understudies.warm_start.call_sink import CallSink


def create_operations(
    sink: CallSink, stage: StageBackup, eraser: Eraser, read: ReadExamples, access: StatusAccess
) -> Mapping[str, AdminHandler]:
    """Return the handlers, by path."""
    return {
        IMPORT_PATH: ImportEndpoint(sink, access),
        BACKUP_PATH: BackupEndpoint(stage, access),
        ERASURE_PATH: ErasureEndpoint(eraser, access),
        EXPORT_PATH: ExportEndpoint(read, access),
    }
