"""List the formats in the order in which they are recognised."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from understudies.importers.bedrock import is_bedrock, read_bedrock
from understudies.importers.datasets import (
    is_conversation,
    is_instruction,
    is_pair,
    read_conversation,
    read_instruction,
    read_pair,
)
from understudies.importers.helicone import is_helicone, read_helicone
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
from understudies.importers.opik import is_opik, read_opik
from understudies.importers.partial_call import PartialCall
from understudies.importers.portkey import is_portkey, read_portkey
from understudies.importers.posthog import is_posthog, read_posthog
from understudies.importers.request_response import is_request_response, read_request_response
from understudies.importers.spans import is_span, read_span


class Format(NamedTuple):
    """A format: what recognises its records by their shape, and what reads them; `is_nested` if they have parents."""

    name: str
    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any]], PartialCall]
    is_nested: bool = False


FORMATS: Final = (
    Format("invocations", is_invocation, read_invocation),
    Format("spans", is_span, read_span, is_nested=True),
    Format("langsmith", is_langsmith, read_langsmith, is_nested=True),
    Format("bedrock", is_bedrock, read_bedrock),
    Format("litellm", is_litellm, read_litellm),
    Format("posthog", is_posthog, read_posthog, is_nested=True),
    Format("opik", is_opik, read_opik, is_nested=True),
    Format("openai-evals", is_eval_item, read_eval_item),
    Format("langfuse", is_langfuse, read_langfuse, is_nested=True),
    Format("portkey", is_portkey, read_portkey),
    Format("helicone", is_helicone, read_helicone),
    Format("openai", is_stored, read_stored),
    Format("openai-preference", is_preference, read_preference),
    Format("native", is_native, read_native),
    Format("conversations", is_conversation, read_conversation),
    Format("request-response", is_request_response, read_request_response),
    Format("instructions", is_instruction, read_instruction),
    Format("prompt-completion", is_pair, read_pair),
)
