"""The router: who serves each call, the promoted student or the teacher."""

from understudies.router.app import RouterApp, create_app
from understudies.router.call import Call, Served, Teacher, TeacherAnswer, TeacherError
from understudies.router.decision import Decision, TaskRoute, decide, drawn, settle
from understudies.router.desk import Desk, Policy
from understudies.router.recorder import Recorder
from understudies.router.roster import Loader, Roster
from understudies.router.settings import RouterSettings
from understudies.router.table import RoutingTable

__all__ = [
    "Call",
    "Decision",
    "Desk",
    "Loader",
    "Policy",
    "Recorder",
    "Roster",
    "RouterApp",
    "RouterSettings",
    "RoutingTable",
    "Served",
    "TaskRoute",
    "Teacher",
    "TeacherAnswer",
    "TeacherError",
    "create_app",
    "decide",
    "drawn",
    "settle",
]
