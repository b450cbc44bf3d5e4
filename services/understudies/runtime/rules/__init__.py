"""`understudies.toml`: what holds for each task, teacher, tenant and for the router."""

from understudies.runtime.rules.document import Rules, TaskRulesOf
from understudies.runtime.rules.keys import KeyHash, hash_of, new_key
from understudies.runtime.rules.reading import read_rules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.task import Escalation, OverBudget, TaskRules
from understudies.runtime.rules.tenant import TenantRules

__all__ = [
    "Escalation",
    "KeyHash",
    "OverBudget",
    "RouterRules",
    "Rules",
    "TaskRules",
    "TaskRulesOf",
    "TenantRules",
    "hash_of",
    "new_key",
    "read_rules",
]
