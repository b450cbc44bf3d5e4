"""Take the text out of the Markdown fence that models like to put around code."""

import re
from typing import Final

_FENCE: Final = re.compile(r"```[\w+#-]*[ \t]*\n(.*?)\n?```", re.DOTALL)


def strip_fence(text: str) -> str:
    """Return the content of the only fence that is the whole text, else the text without white space around it.

    >>> strip_fence("```sql\\nSELECT 1\\n```")
    'SELECT 1'
    """
    body = text.strip()
    match = _FENCE.fullmatch(body)
    return match[1].strip() if match and "```" not in match[1] else body
