import pytest
from tests.support.chat_messages import assistant_message

from understudies.judges.code import CodeJudge

TEACHER = '''def double(x):
    """Double it."""
    return 2 * x  # twice
'''


@pytest.mark.parametrize(
    ("student", "agreed"),
    [
        ("def double(x):\n  return 2*x", True),
        ("```python\ndef double( x ):\n    '''Other words.'''\n    return (2 * x)\n```", True),
        ("def double(x):\n    return x * 2", False),
        ("def double(y):\n    return 2 * y", False),
        ("def double(x):\n    return '2 * x'", False),
        ("def double(x) return", False),
        ("", False),
    ],
)
def test_the_syntax_tree_decides(student: str, agreed: bool) -> None:
    assert CodeJudge().judge(assistant_message(TEACHER), assistant_message(student)).agreed is agreed


def test_what_is_not_code_is_compared_as_text() -> None:
    judge = CodeJudge()
    assert judge.judge(assistant_message("not code at all"), assistant_message("not code  at all")).agreed
    assert not judge.judge(assistant_message("not code at all"), assistant_message("no code at all")).agreed
