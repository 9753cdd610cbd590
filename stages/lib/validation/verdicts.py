"""Keep or drop conversations by the checks, and count the verdicts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.settings.sections import Validate
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.checks import find_reasons, not_checked

NUM_EXAMPLES = 3


def check_conversation(found: tuple[Row, Row | str], settings: Validate, model: Model, config: RequestConfig) -> Row:
    """Make the verdict on a row of RESPONSE beside the prompt that it answers, or the reason why there is none."""
    return make_verdict(CheckInput(*found, settings, model, config))


def make_verdict(given: CheckInput) -> Row:
    """Make the verdict on one conversation: a row of VERDICT, and the names of the checks that were not made."""
    row, prompt = given.row, given.prompt
    reasons = find_reasons(given)
    return {
        "conversation_hash": row["conversation_hash"] or "",
        "identity": row["identity"] or "",
        "keep": not set(reasons) - set(given.settings.report_only),
        "reasons": reasons,
        "not_checked": not_checked(given, reasons),
        "language": "" if isinstance(prompt, str) else prompt.get("language") or "",
        "toxic": not isinstance(prompt, str) and bool(prompt.get("toxic")),
        "turns": len(row["turns"] or []),
    }


class VerdictCounts:
    """Counts of verdicts; the attributes are keys of .summary.json."""

    def __init__(self) -> None:
        self.conversations = 0
        self.kept = 0
        self.found = Counter[str]()  # conversations by reason
        self.dropped_by = Counter[str]()  # dropped conversations by reason
        self.not_checked = Counter[str]()  # conversations by check
        self.examples: dict[str, list[str]] = defaultdict(list)  # conversation hashes by reason

    def counted(self, verdicts: Iterable[Row], settings: Validate) -> Iterator[Row]:
        """Yield verdicts as they are, and count them."""
        for verdict in verdicts:
            self.add(verdict, settings)
            yield verdict

    def add(self, verdict: Row, settings: Validate) -> None:
        """Count one verdict; remember the first NUM_EXAMPLES of each reason. Reasons only reported drop nothing."""
        self.conversations += 1
        self.kept += verdict["keep"]
        self.found.update(verdict["reasons"])
        self.dropped_by.update(reason for reason in verdict["reasons"] if reason not in settings.report_only)
        self.not_checked.update(verdict["not_checked"])
        for reason in verdict["reasons"]:
            if len(self.examples[reason]) < NUM_EXAMPLES:
                self.examples[reason].append(verdict["conversation_hash"])
