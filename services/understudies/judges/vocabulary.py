"""Define the words by which labels and explanations are detected: field names, prose openings, explaining words."""

import re


def word_set(text: str) -> frozenset[str]:
    """Return the set of words of a text."""
    return frozenset(text.split())


LABEL_FIELDS = word_set("""
    answer label category class classification intent verdict decision sentiment prediction topic type priority severity
    rating score result output
""") | {"final answer"}
"""Field names of lines that contain a label."""

EXPLANATION_FIELDS = word_set("""
    reason reasons reasoning explanation explanations rationale justification because why confidence certainty evidence
    analysis thought thoughts note notes comment comments
""")
"""Field names of lines that explain a label."""

PROSE_OPENINGS = word_set("""
    dear hi hello hey thank thanks sorry please sure certainly absolutely of here unfortunately however
    subject summary note reason explanation re
    hallo guten liebe lieber bonjour hola ciao
""")
"""First words of letters and prose, with which no label begins."""

ARTICLES = word_set("the a an this that it i we you there")
"""First words of prose, if more words follow."""

EXPLANATION_PATTERN = re.compile(
    r"\b(?:because|since|due|as|reasons?|reasoning|explanation|rationale|justification|therefore|thus|hence|confiden\w+|"
    r"certain\w*|likely|probab\w+|based|indicat\w+|suggest\w*|show[sn]?|express\w+|describ\w+|mention\w*|stat(?:es|ed|ing)|"
    r"ask(?:s|ed|ing)?|wants?|need(?:s|ed)?|request\w*|report(?:s|ed|ing)|refer\w*|relat\w+|concern\w*|contain\w*|"
    r"says?|said|about|is|are|was|were|has|have|had|does|did|can|cannot|the (?:customer|user|text|message|review)|"
    r"weil|ist|sind|war|hat|wird|fragt|möchte|porque|está|pide|quiere|parce que|est|sont|demande|"
    r"perch[eé])\b|\d%|\b0?\.\d",
    re.IGNORECASE,
)
"""Words typical of an explaining sentence, and rare in headings and commit messages."""

QUANTITY_MODIFIERS = word_set("""
    minus negative not no less more fewer than under over below above least most up about around approximately almost
    nearly hundred thousand k million mn mio billion bn trillion tn lakh crore dozen
""")
"""Words that change the meaning of a number next to them."""
