"""The router: who serves each call, the promoted student or the teacher."""

from understudies.router.app import RouterApp
from understudies.router.call import Call, Teacher, TeacherAnswer, TeacherError
from understudies.router.composition import create_app
from understudies.router.decision import Decision, TaskRoute, after_student, decide, is_sampled
from understudies.router.desk import CallService
from understudies.router.policy import ServingLimits
from understudies.router.roster import StudentLoader, StudentRegistry
from understudies.router.served import CallResult
from understudies.router.settings import RouterSettings
from understudies.router.table import RoutingTable

__all__ = [
    "Call",
    "Decision",
    "CallService",
    "StudentLoader",
    "ServingLimits",
    "StudentRegistry",
    "RouterApp",
    "RouterSettings",
    "RoutingTable",
    "CallResult",
    "TaskRoute",
    "Teacher",
    "TeacherAnswer",
    "TeacherError",
    "create_app",
    "decide",
    "is_sampled",
    "after_student",
]
