"""The router: who serves each call, the promoted student or the teacher."""

from understudies.router.app import RouterApp
from understudies.router.call import Call, Teacher, TeacherAnswer, TeacherError
from understudies.router.composition import create_app
from understudies.router.decision import Decision, TaskRoute, decide, drawn, settle
from understudies.router.desk import Desk
from understudies.router.policy import Policy
from understudies.router.roster import Loader, Roster
from understudies.router.served import Served
from understudies.router.settings import RouterSettings
from understudies.router.table import RoutingTable

__all__ = [
    "Call",
    "Decision",
    "Desk",
    "Loader",
    "Policy",
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
