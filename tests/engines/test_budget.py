"""Estimates of what a server will be asked for, and whether the budget suffices."""

from dataclasses import replace

from stages.lib.engines.budget import Estimate, estimate
from stages.lib.engines.request import RequestConfig
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import ServerLimits


def test_a_request_is_estimated_with_all_turns_before_it() -> None:
    prompts = [{"turns": [{"user": "a" * 40, "reference": "r" * 8}, {"user": "é" * 20, "reference": ""}]}]
    config = RequestConfig(sampling=Sampling(), max_tokens=100, window=1000, seed=1, system_prompt="s" * 20)
    # four bytes a token: 5 + 10, then 100 of a whole reply and 10 more
    assert estimate(prompts, config) == Estimate(2, 15 + 125, 200)
    assert estimate(prompts, replace(config, history="reference")) == Estimate(2, 15 + 27, 200)


def test_no_more_is_sent_than_fits_the_window_and_what_alone_does_not_fit_is_not_asked() -> None:
    config = RequestConfig(sampling=Sampling(), max_tokens=100, window=300, seed=1)
    turns = [{"user": "a" * 800, "reference": ""}, {"user": "b" * 400, "reference": ""}]
    assert estimate([{"turns": turns}], config) == Estimate(2, 200 + 299, 200)
    assert estimate([{"turns": turns}], replace(config, trim="oldest")) == Estimate(2, 200 + 200, 200)
    assert estimate([{"turns": [{"user": "a" * 1200, "reference": ""}, *turns]}], config) == Estimate(0, 0, 0)


def test_an_estimate_names_the_cost_and_whether_it_exceeds_the_budget() -> None:
    prices = ServerLimits(price_per_million_input=1.0, price_per_million_output=4.0)
    expected = Estimate(1000, 500_000, 250_000)
    text = "1,000 requests, about 500,000 tokens in and at most 250,000 out, which costs about 0.50 to 1.50"
    assert expected.describe(prices) == text
    assert expected.describe(prices.model_copy(update={"max_cost": 1.0})) == text  # it may suffice
    assert "more than the budget" in expected.describe(prices.model_copy(update={"max_cost": 0.4}))
    assert "more than the budget" in expected.describe(prices.model_copy(update={"max_requests": 999}))
