"""The words of a judgment, those that it denies apart: `detailed` in "is not detailed" is `not detailed`.

nltk's mark_negation denies everything up to the next full stop, a whole clause on ("does not verify the names, which is
crucial for …"), and knows neither `without` nor `lacks` nor `fails to`; hence a rule of our own, with a narrow window.
"""

import re

NOT = "not "  # before a word that is denied
WINDOW = 3  # words after a negator, GRAMMAR aside: "does not provide a detailed analysis"
NEGATORS = frozenset(
    "no not never neither nor none nothing cannot without lack lacks lacked lacking fail fails failed failing absence"
    " devoid".split()
)
NEGATED_VERB = "n't"  # the end of isn't, doesn't, …
ADDING = frozenset("only just merely simply".split())  # "not only clear but complete" denies nothing
TURNS = frozenset("but however although though yet while whereas instead because if which who that".split())
GRAMMAR = frozenset(
    "a an the this these those it its is are was were be been being do does did to of in on for from with by at as into"
    " and or any all such there".split()
)
TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.,:;!?()\n]|[-\u2013\u2014](?=\s)")


def terms(text: str) -> list[str]:
    """The words of a text in lower case and in their order, those that are denied with NOT before them.

    A negator denies the words after it: WINDOW at most, and none after a punctuation mark or a word of TURNS, which
    begins another thought. A negator itself (`lacks`) is a word like others; it and GRAMMAR are never denied. Numbers
    are no words.
    """
    found: list[str] = []
    left, previous = 0, ""
    for token in TOKEN.findall(text.lower().replace("\u2019", "'")):
        if token in NEGATORS or token.endswith(NEGATED_VERB):
            found.append(token)
            left = WINDOW
        elif not token[0].isalpha():
            left = 0
        else:
            if token in TURNS or (previous == "not" and token in ADDING):
                left = 0
            denied = left > 0 and token not in GRAMMAR
            found.append(NOT + token if denied else token)
            left -= denied
        previous = token
    return found
