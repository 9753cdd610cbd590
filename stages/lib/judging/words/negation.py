"""The words of a judgment, negated ones apart: `detailed` in "is not detailed" is the term `not detailed`.

nltk's mark_negation negates everything up to the next full stop, a whole clause on ("does not verify the names, which
is crucial for …"), and knows neither `without` nor `lacks` nor `fails to`; hence our own rule, with a narrow window.
"""

import re

NEGATED = "not "  # stands before a word that is negated
WINDOW = 3  # words after a negator, function words aside: "does not provide a detailed analysis"
NEGATORS = frozenset(
    "no not never neither nor none nothing cannot without lack lacks lacked lacking fail fails failed failing absence"
    " devoid".split()
)
NEGATED_VERB = "n't"  # the end of isn't, doesn't, …
ADDITIVE_ADVERBS = frozenset("only just merely simply".split())  # "not only clear but complete" negates nothing
CLAUSE_STARTS = frozenset("but however although though yet while whereas instead because if which who that".split())
FUNCTION_WORDS = frozenset(
    "a an the this these those it its is are was were be been being do does did to of in on for from with by at as into"
    " and or any all such there".split()
)
TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.,:;!?()\n]|[-\u2013\u2014](?=\s)")


def extract_terms(text: str) -> list[str]:
    """Return the words of a text in lower case and in their order, negated ones with NEGATED before them.

    A negator negates at most WINDOW words after it, and none after a punctuation mark or a word of CLAUSE_STARTS.
    Negators (`lacks`) and FUNCTION_WORDS are themselves never negated. Numbers are not words.
    """
    terms: list[str] = []
    left, previous = 0, ""
    for token in TOKEN.findall(text.lower().replace("\u2019", "'")):
        if token in NEGATORS or token.endswith(NEGATED_VERB):
            terms.append(token)
            left = WINDOW
        elif not token[0].isalpha():
            left = 0
        else:
            if token in CLAUSE_STARTS or (previous == "not" and token in ADDITIVE_ADVERBS):
                left = 0
            is_negated = left > 0 and token not in FUNCTION_WORDS
            terms.append(NEGATED + token if is_negated else token)
            left -= is_negated
        previous = token
    return terms
