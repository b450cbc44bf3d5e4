"""List the formats in the order in which they are recognised."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from understudies.importers.bedrock import is_bedrock, read_bedrock
from understudies.importers.braintrust import is_braintrust, read_braintrust
from understudies.importers.datasets import (
    CONVERSATIONS,
    PAIRS,
    is_chosen_pair,
    is_conversation,
    is_instruction,
    is_pair,
    read_chosen_pair,
    read_conversation,
    read_instruction,
    read_pair,
)
from understudies.importers.helicone import is_helicone, read_helicone
from understudies.importers.honeyhive import is_honeyhive, read_honeyhive
from understudies.importers.invocations import is_invocation, read_invocation
from understudies.importers.langfuse import is_langfuse, read_langfuse
from understudies.importers.langsmith import is_langsmith, read_langsmith
from understudies.importers.litellm import is_litellm, read_litellm
from understudies.importers.native import is_native, read_native
from understudies.importers.openai import (
    is_eval_item,
    is_preference,
    is_stored,
    read_eval_item,
    read_preference,
    read_stored,
)
from understudies.importers.openai_agents import is_openai_agents, read_openai_agents
from understudies.importers.opik import OPIK_MARKS, is_opik, read_opik
from understudies.importers.partial_call import PartialCall
from understudies.importers.portkey import is_portkey, read_portkey
from understudies.importers.posthog import is_posthog, read_posthog
from understudies.importers.request_response import REQUESTS, is_request_response, read_request_response
from understudies.importers.spans import is_span, read_span
from understudies.importers.vertex_predictions import is_vertex_prediction, read_vertex_prediction


class Format(NamedTuple):
    """A format: what recognises its records by their shape, and what reads them.

    `marks` are fields of which each of its records has one, and `is_nested` is true if they have parents.
    """

    name: str
    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any]], PartialCall]
    marks: frozenset[str]
    is_nested: bool = False


FORMATS: Final = (
    Format("invocations", is_invocation, read_invocation, frozenset({"request"})),
    Format(
        "openai-agents", is_openai_agents, read_openai_agents, frozenset({"span_data", "workflow_name"}), is_nested=True
    ),
    Format("honeyhive", is_honeyhive, read_honeyhive, frozenset({"event_type"}), is_nested=True),
    Format("spans", is_span, read_span, frozenset({"attributes", "context.span_id"}), is_nested=True),
    Format("langsmith", is_langsmith, read_langsmith, frozenset({"run_type"}), is_nested=True),
    Format("bedrock", is_bedrock, read_bedrock, frozenset({"schemaType", "modelId"})),
    Format("litellm", is_litellm, read_litellm, frozenset({"call_type"})),
    Format("posthog", is_posthog, read_posthog, frozenset({"event", "properties"}), is_nested=True),
    Format("opik", is_opik, read_opik, OPIK_MARKS, is_nested=True),
    Format("openai-evals", is_eval_item, read_eval_item, frozenset({"object", "datasource_item"})),
    Format("braintrust", is_braintrust, read_braintrust, frozenset({"span_attributes"}), is_nested=True),
    Format("langfuse", is_langfuse, read_langfuse, frozenset({"type", "input"}), is_nested=True),
    Format("portkey", is_portkey, read_portkey, frozenset({"request"})),
    Format("helicone", is_helicone, read_helicone, frozenset({"request", "request_body", "request_created_at"})),
    Format("openai", is_stored, read_stored, frozenset({"object"})),
    Format("openai-preference", is_preference, read_preference, frozenset({"preferred_output"})),
    Format("vertex-predictions", is_vertex_prediction, read_vertex_prediction, frozenset({"instance"})),
    Format("native", is_native, read_native, frozenset({"messages", "contents"})),
    Format("conversations", is_conversation, read_conversation, frozenset(CONVERSATIONS)),
    Format("request-response", is_request_response, read_request_response, frozenset(REQUESTS)),
    Format("instructions", is_instruction, read_instruction, frozenset({"instruction"})),
    Format("prompt-completion", is_pair, read_pair, frozenset(asked for asked, _ in PAIRS)),
    Format("preferences", is_chosen_pair, read_chosen_pair, frozenset({"chosen"})),
)


@lru_cache(maxsize=1024)
def possible_formats(names: tuple[str, ...]) -> tuple[Format, ...]:
    """Return the formats that a record with fields of these names may have: the records of a log share names."""
    fields = frozenset(names)
    return tuple(form for form in FORMATS if not form.marks.isdisjoint(fields))
