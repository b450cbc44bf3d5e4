"""`understudies.toml`: what holds for each task, teacher, tenant and for the router."""

from understudies.runtime.rules.document import Rules, TaskRulesLookup
from understudies.runtime.rules.keys import KeyHash, generate_key, key_hash
from understudies.runtime.rules.reading import read_rules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.task import EscalationRule, OverBudgetRule, TaskRules
from understudies.runtime.rules.tenant import TenantRules

__all__ = [
    "EscalationRule",
    "KeyHash",
    "OverBudgetRule",
    "RouterRules",
    "Rules",
    "TaskRules",
    "TaskRulesLookup",
    "TenantRules",
    "key_hash",
    "generate_key",
    "read_rules",
]
