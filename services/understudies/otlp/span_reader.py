"""Read the calls of a teacher from live spans, as invocations."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from understudies.events import Invocation, TenantTemplates, derived_id
from understudies.importers.events import to_invocation
from understudies.importers.json_parsing import FailedCall, NotARecordedCall, OtherKind
from understudies.importers.partial_call import build_recorded_call
from understudies.importers.recorded_call import RecordedCall
from understudies.importers.spans import is_span, read_span
from understudies.importers.task_names import sanitize_task_name
from understudies.otlp.call_tree import CallTree, innermost_first
from understudies.otlp.routed_calls import RoutedCalls
from understudies.redaction.redactor import Redactor, redacted
from understudies.router.endpoints.errors import BadRequest, HttpError

ResolveTask = Callable[[str], str]
"""Returns the qualified name of a task that the sender named; raises HttpError or BadRequest if it may not."""

_MAX_AHEAD: Final = timedelta(minutes=10)
"""How much the sender's clock may be ahead."""
_MAX_REASON: Final = 300


@dataclass(slots=True)
class ReadSpans:
    """The calls of a request, and the reasons why other spans of calls are not recorded, with their numbers."""

    invocations: list[Invocation] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


class SpanReader:
    """Reads spans by the rules that logs are read by: no answer is made of what is none."""

    def __init__(self, routed: RoutedCalls) -> None:
        self._routed = routed
        self._trees = defaultdict[str, CallTree](CallTree)
        self._templates = TenantTemplates()

    def read(
        self,
        spans: Iterable[dict[str, Any]],
        *,
        tenant: str,
        template_scope: str = "",
        resolve_task: ResolveTask,
        redact: Redactor | None,
        now: datetime,
    ) -> ReadSpans:
        """Read the calls of a tenant; spans of another kind, of failed calls, and around other calls are passed over.

        The same spans give the same calls, with the same ids, so that they may be sent again. Tasks without a name are
        discovered by the prompts of `template_scope`.
        """

        def find_task(call: RecordedCall) -> str:
            named = sanitize_task_name(call.task) if call.task else None
            return resolve_task(named or self._templates.task_of(template_scope, call.request))

        found = ReadSpans()
        for span in innermost_first(spans):
            time.sleep(0)  # lets the event loop of this process have the interpreter, which it would wait 5 ms for
            try:
                call = self._read_call(span, self._trees[tenant])
                if call is not None:
                    found.invocations.append(_to_invocation(span, call, tenant, find_task, redact, now))
            except NotARecordedCall as error:
                found.rejected[str(error)[:_MAX_REASON]] += 1
            except (HttpError, BadRequest) as error:
                found.rejected[str(error)[:_MAX_REASON]] += 1
            except RecursionError:
                found.rejected["nested too deeply"] += 1
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
                found.rejected[f"{'.'.join(map(str, problem['loc'][:4]))}: {problem['msg']}"[:_MAX_REASON]] += 1
            except ValueError:
                # The error's own text may quote the content.
                found.rejected["no known form of messages and answer"] += 1
        return found

    def _read_call(self, span: dict[str, Any], tree: CallTree) -> RecordedCall | None:
        is_outer = tree.has_call_inside(span)
        if is_outer:
            tree.add_call_inside(span)
        if is_outer or not is_span(span):
            return None
        if self._routed.has(span):
            tree.add_call_inside(span)  # what is around it is no call of its own either
            return None
        try:
            call = build_recorded_call(read_span(span), 0)
        except (OtherKind, FailedCall):
            return None
        tree.add_call_inside(span)
        return call


def _to_invocation(
    span: Mapping[str, Any],
    call: RecordedCall,
    tenant: str,
    find_task: Callable[[RecordedCall], str],
    redact: Redactor | None,
    now: datetime,
) -> Invocation:
    at = call.at
    if at is None or not span.get("spanId"):
        raise NotARecordedCall("a span without its id or the time of its start")
    if at > now + _MAX_AHEAD:
        raise NotARecordedCall(f"a span that begins {at - now} from now: set the clock of its sender")
    invocation = to_invocation(
        call,
        event_id=derived_id(at, f"{tenant}/{call.trace}/{span['spanId']}"),
        at=at,
        task=find_task(call),
        tenant=tenant,
    )
    return invocation if redact is None else redacted(invocation, redact)
