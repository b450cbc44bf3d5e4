"""Words that answers have beside what they say: names of fields, openings of prose, words that explain."""

import re


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


LABEL_FIELDS = word_set("""
    answer label category class classification intent verdict decision sentiment prediction topic type priority severity
    rating score result output
""") | {"final answer"}
"""Names of lines that hold a label."""

EXPLANATION_FIELDS = word_set("""
    reason reasons reasoning explanation explanations rationale justification because why confidence certainty evidence
    analysis thought thoughts note notes comment comments
""")
"""Names of lines that explain one."""

PROSE_OPENINGS = word_set("""
    dear hi hello hey thank thanks sorry please sure certainly absolutely of here unfortunately however
    subject summary note reason explanation re
    hallo guten liebe lieber bonjour hola ciao
""")
"""What letters and prose begin with, and no label does."""

ARTICLES = word_set("the a an this that it i we you there")
"""What prose begins with, where more words follow."""

EXPLANATION_PATTERN = re.compile(
    r"\b(?:because|since|due|as|reasons?|reasoning|explanation|rationale|justification|therefore|thus|hence|confiden\w+|"
    r"certain\w*|likely|probab\w+|based|indicat\w+|suggest\w*|show[sn]?|express\w+|describ\w+|mention\w*|stat(?:es|ed|ing)|"
    r"ask(?:s|ed|ing)?|wants?|need(?:s|ed)?|request\w*|report(?:s|ed|ing)|refer\w*|relat\w+|concern\w*|contain\w*|"
    r"says?|said|about|is|are|was|were|has|have|had|does|did|can|cannot|the (?:customer|user|text|message|review)|"
    r"weil|ist|sind|war|hat|wird|fragt|möchte|porque|está|pide|quiere|parce que|est|sont|demande|"
    r"perch[eé])\b|\d%|\b0?\.\d",
    re.IGNORECASE,
)
"""What a sentence that explains holds, and a heading or a commit message seldom."""

QUANTITY_MODIFIERS = word_set("""
    minus negative not no less more fewer than under over below above least most up about around approximately almost
    nearly hundred thousand k million mn mio billion bn trillion tn lakh crore dozen
""")
"""What makes another number of the one beside it."""
