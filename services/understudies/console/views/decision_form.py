"""The form by which a person decides about a task."""

from html import escape
from typing import Final

from understudies.events import SteeringAction
from understudies.status.standing import STEERING_PATH, TaskStanding

_CHOICES: Final[dict[SteeringAction, str]] = {
    "pause": "Pause: the teacher answers every call",
    "resume": "Resume",
    "demote": "Demote the serving student, and learn anew",
    "retire": "Retire a student, and keep the examples",
    "pin": "Pin the serving student: it is not succeeded",
    "unpin": "Unpin",
    "approve": "Approve the proven student",
    "retrain": "Retrain now: ask for a new student",
    "mark_critical": "Mark critical: never served by a student",
    "unmark_critical": "No longer critical",
}


def render_decision_form(standing: TaskStanding) -> str:
    """Return the form as a section of a task's page; it works without scripts."""
    choices = "".join(f'<option value="{action}">{escape(text)}</option>' for action, text in _CHOICES.items())
    return (
        '<section class="task" aria-labelledby="decide"><header><h2 id="decide">Decide</h2></header>'
        f'<form class="decide" method="post" action="{STEERING_PATH}">'
        f'<input type="hidden" name="task" value="{escape(standing.task)}">'
        f'<label>What <select name="action" required><option value="">Choose …</option>{choices}</select></label>'
        '<label>Why <input name="why" required maxlength="2000" autocomplete="off"></label>'
        '<label>Your name <input name="by" required maxlength="200" autocomplete="name"></label>'
        '<label>Student, if not the one it can only be about <input name="student" maxlength="300" '
        'autocomplete="off"></label>'
        "<button>Decide</button></form></section>"
    )
