"""The contracts between agents and services: events, topics and fingerprints. Pure: no I/O."""

from understudies.events.base import Event, TaskName, Utc
from understudies.events.drift import Cause, Drift
from understudies.events.fingerprint import (
    CANONICAL_FORM,
    Split,
    discovered_task,
    fingerprint,
    masked,
    named_by,
    position,
    split_of,
    template_of,
)
from understudies.events.ids import NewId, SeededIds, derived_id, new_id
from understudies.events.invocation import BIASED, Invocation, Origin, Reason, Route, ServedBy
from understudies.events.money import Usd, usd, usd_text
from understudies.events.promotion import Promotion, Stage
from understudies.events.request import (
    MEDIA_PARTS,
    FunctionCall,
    LabelProbability,
    Message,
    Request,
    Response,
    ToolCall,
    Usage,
    UsageDetails,
    request_of,
)
from understudies.events.serving_scope import ALWAYS, NOTHING_WITHHELD, ProvenLevels, Withheld
from understudies.events.steering import STUDENT_ACTIONS, Steering, SteeringAction
from understudies.events.task_discovery.template_inference import Prompt
from understudies.events.task_discovery.templates import Templates
from understudies.events.task_discovery.tenant_templates import TenantTemplates
from understudies.events.task_discovery.word_trigrams import Words, words_of
from understudies.events.task_names import own_task, owner_and_base
from understudies.events.task_steering import NOT_STEERED, TaskSteering, steer
from understudies.events.topics import (
    BY_NAME,
    DRIFT,
    INVOCATIONS,
    PROMOTIONS,
    TOPICS,
    VERDICTS,
    Topic,
    cloud_headers,
    encode,
    topic_of,
)
from understudies.events.verdict import GateDecision, Phase, Verdict, VerdictEvent

__all__ = [
    "ALWAYS",
    "BIASED",
    "BY_NAME",
    "CANONICAL_FORM",
    "DRIFT",
    "INVOCATIONS",
    "MEDIA_PARTS",
    "NOTHING_WITHHELD",
    "NOT_STEERED",
    "PROMOTIONS",
    "STUDENT_ACTIONS",
    "TOPICS",
    "VERDICTS",
    "Cause",
    "Drift",
    "Event",
    "FunctionCall",
    "GateDecision",
    "Invocation",
    "LabelProbability",
    "Message",
    "NewId",
    "Origin",
    "Phase",
    "Promotion",
    "Prompt",
    "ProvenLevels",
    "Reason",
    "Request",
    "Response",
    "Route",
    "SeededIds",
    "ServedBy",
    "Split",
    "Stage",
    "Steering",
    "SteeringAction",
    "TaskName",
    "TaskSteering",
    "Templates",
    "TenantTemplates",
    "ToolCall",
    "Topic",
    "Usage",
    "UsageDetails",
    "Usd",
    "Utc",
    "Verdict",
    "VerdictEvent",
    "Withheld",
    "Words",
    "cloud_headers",
    "derived_id",
    "discovered_task",
    "encode",
    "fingerprint",
    "masked",
    "named_by",
    "new_id",
    "own_task",
    "owner_and_base",
    "position",
    "request_of",
    "split_of",
    "steer",
    "template_of",
    "topic_of",
    "usd",
    "usd_text",
    "words_of",
]
