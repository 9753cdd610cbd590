"""The entries of CHECKS, and what follows from them."""

import re

import pytest

from stages.lib.console.errors import UserError
from stages.lib.validation.checks import CHECKS, REASONS, require_reasons
from tests.support.validation import WITHOUT_PROMPT, WITHOUT_REQUEST, WITHOUT_USER


def names_of_checks_that_need(*needs: str) -> list[str]:
    return sorted({check.name for check in CHECKS if check.needs & {*needs} and not check.is_open})


def test_the_checks_that_need_a_request_the_users_text_or_the_prompt_are_these() -> None:
    assert names_of_checks_that_need("finish_reason", "token_counts", "prompt_sha", "identity") == WITHOUT_REQUEST
    assert names_of_checks_that_need("user") == WITHOUT_USER
    assert names_of_checks_that_need("prompt") == WITHOUT_PROMPT


def test_a_name_that_is_not_a_reason_is_refused_with_all_reasons() -> None:
    assert all(re.fullmatch("[a-z_]+", reason) for reason in REASONS)
    require_reasons([*REASONS, "finish_abort"], "validate.report_only")
    with pytest.raises(
        UserError, match=r"^p.yaml: validate.report_only: 'refusl' is not a reason; .* empty, too_short"
    ):
        require_reasons(["refusal", "refusl"], "p.yaml: validate.report_only")


def test_every_check_says_what_its_reason_means() -> None:
    assert all(check.meaning and not check.meaning.endswith(".") for check in CHECKS)
