"""The client of one server: a chat completion with its repeats, within the limits of the run, and the first check."""

import asyncio
import hashlib
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import openai

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Reply
from stages.lib.engines.budget import Budget, Rate
from stages.lib.engines.openai_replies import error_code, is_too_long, to_reply
from stages.lib.engines.request import RequestConfig
from stages.lib.models.api_keys import KEYS, key_for
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import Message
from stages.lib.settings.runtime import Runtime

CLIENT_RETRIES = 1000  # of the library's client: the time that they take is limited here
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 30.0
SKIP_SPECIAL_TOKENS = ("vllm", "sglang")  # owners of a model whose servers do so unless they are told not to


class Unanswered(Exception):
    """A request was repeated for as long as it may be."""


@dataclass(slots=True)
class RetryState:
    """Since when a request is repeated, and why; and the conversation that it belongs to."""

    session: str = ""  # empty: none
    since: float = 0.0
    last_failure: str = "no connection, or no answer in time"

    def check(self, max_seconds: float) -> None:
        """Raise Unanswered when the request has been repeated for that long."""
        self.since = self.since or time.monotonic()
        if time.monotonic() - self.since > max_seconds:
            raise Unanswered(self.last_failure)


RETRY_STATE: ContextVar[RetryState] = ContextVar("RETRY_STATE")  # of the request that the current task has sent


class ServerClient:
    """Sends chat completions to the server of a model; made and used inside one event loop.

    The library's client repeats what may be repeated (429, 5xx, a lost connection, a timeout) with backoff, and
    honours Retry-After. Every single HTTP request, repeated ones too, passes `_admit`.
    """

    def __init__(self, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self._config, self._limits = config, runtime.server
        self._address, self._name = model.location, model.served_name
        self.where = f"{model.id}: the server at {model.location}"  # the beginning of messages about the server
        self.budget, self._rate = Budget(runtime.server), Rate(runtime.server.requests_per_minute)
        self.error: Exception | None = None  # that ended the run; no other request is sent
        self._known_models: list[str] = []
        self._own_parameters: dict[str, Any] = {}  # that this kind of server has beside OpenAI's
        self._client = self._connect(runtime.max_concurrent)
        self._system_role: asyncio.Task[bool] | None = None

    def _connect(self, max_concurrent: int) -> openai.AsyncOpenAI:
        """Make the library's client, with a connection for every request under way."""
        http = openai.DefaultAsyncHttpxClient(
            limits=type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=max_concurrent),  # httpx or its successor
            event_hooks={"request": [self._admit], "response": [self._note_failure]},
        )
        return openai.AsyncOpenAI(
            base_url=self._address,
            api_key=key_for(self._address),
            timeout=openai.Timeout(self._limits.timeout_seconds, connect=CONNECT_SECONDS),
            max_retries=CLIENT_RETRIES,
            http_client=http,
        )

    async def _admit(self, http_request: Any) -> None:
        """Hold each HTTP request until the rate admits it; raise when the run is over, or its time for repeats."""
        if http_request.method != "POST":
            return
        state = RETRY_STATE.get()
        if http_request.headers["x-stainless-retry-count"] != "0":
            state.check(self._limits.retry_seconds)
            state.since += await self._rate.wait()
        else:
            await self._rate.wait()
        if self.error:
            raise self.error
        self.budget.take_request()

    async def _note_failure(self, response: Any) -> None:
        """Remember a failed answer, for the message when the request is given up."""
        if response.status_code >= 400 and response.request.method == "POST":
            RETRY_STATE.get().last_failure = f"HTTP {response.status_code}"

    async def complete(self, messages: list[Message], seed: int, max_tokens: int | None) -> Reply | None:
        """Request one chat completion; return None when the server says that it would not fit its window."""
        options = self._sampling(seed) | {"model": self._name, "messages": messages}
        if self._limits.session_header and (session := RETRY_STATE.get().session):
            name = hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:32]  # any text can be a key
            options["extra_headers"] = {self._limits.session_header: name}
        if max_tokens is not None:
            options["max_tokens"] = max_tokens
        try:
            completion = await self._client.chat.completions.create(**options)
        except openai.APIStatusError as error:
            if is_too_long(error):
                return None
            raise
        reply = to_reply(completion)
        self.budget.pay(reply.prompt_tokens, reply.completion_tokens)
        return reply

    def _sampling(self, seed: int) -> dict[str, Any]:
        """Return the sampling of a request. What not every server knows is sent only where it is not the default."""
        sampling = self._config.sampling
        extra = sampling.model_dump(exclude_defaults=True, exclude={"temperature", "top_p"}) | self._own_parameters
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed, "extra_body": extra}
        return options | ({"stop": list(self._config.stop)} if self._config.stop else {})

    async def check(self) -> None:
        """Raise UserError unless the server can be reached, takes the key, has the model and answers a request."""
        models = await self._list_models()
        self._check_window(models)
        if any(getattr(model, "owned_by", "") in SKIP_SPECIAL_TOKENS for model in models if model.id == self._name):
            self._own_parameters = {"skip_special_tokens": False}  # checks and `stop` must see them
        RETRY_STATE.set(RetryState())
        try:
            await self.complete([Message(role="user", content="Hi")], self._config.seed, 1)
        except Unanswered as error:
            raise UserError(f"{self.where} does not answer ({error})") from None
        except openai.APIStatusError as error:
            self.raise_if_hopeless(error)
            raise UserError(
                f"{self.where} refuses a simple request ({error_code(error)}): does it know this sampling, and does "
                f"the key allow it?"
            ) from None
        except ValueError as error:
            raise UserError(f"{self.where} does not speak OpenAI's API ({error}); most addresses end in /v1") from None

    async def has_system_role(self) -> bool:
        """Tell whether the server takes a chat with a system message; it is asked once, with a small one."""
        if not self._system_role or (self._system_role.done() and self._system_role.exception()):
            self._system_role = asyncio.create_task(self._try_system_message())
        return await asyncio.shield(self._system_role)

    async def _try_system_message(self) -> bool:
        """Ask for one token after a system message; return False if the server refuses it, unlike the first check."""
        messages = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
        try:
            await self.complete(messages, self._config.seed, 1)
        except openai.APIStatusError as error:
            if error.status_code not in (400, 422):
                raise
            return False
        return True

    async def _list_models(self) -> list[Any]:
        """Return the server's models; none if it has no such list."""
        try:
            return (await self._client.with_options(max_retries=1, timeout=PROBE_SECONDS).models.list()).data or []
        except openai.APIConnectionError:
            raise UserError(f"{self.where} cannot be reached: start it, or correct the catalogue's address") from None
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                self.raise_if_hopeless(error)
            return []
        except ValueError:
            return []

    def _check_window(self, models: list[Any]) -> None:
        """Raise UserError when the server says that its window is smaller than the catalogue's."""
        self._known_models = [model.id for model in models]
        [window] = [getattr(model, "max_model_len", 0) or 0 for model in models if model.id == self._name] or [0]
        if 0 < window < self._config.window:
            raise UserError(
                f"{self.where} has a window of {window} tokens, the catalogue says context_window: "
                f"{self._config.window}; correct one of them"
            )

    def raise_if_hopeless(self, error: openai.APIStatusError) -> None:
        """Raise UserError for a wrong key and an unknown model: every other request would be refused too."""
        if error.status_code in (401, 403):
            raise UserError(f"{self.where} refuses the key ({error_code(error)}): set {KEYS[0]}") from None
        if error.status_code == 404:
            known = f"; it has: {', '.join(self._known_models[:5])}" if self._known_models else ""
            raise UserError(f"{self.where} has no model {self._name!r}{known}") from None

    async def is_reachable(self) -> bool:
        """Tell whether the server answers anything at all."""
        try:
            await self._client.with_options(max_retries=0, timeout=PROBE_SECONDS).models.list()
        except openai.APIConnectionError:
            return False
        except openai.APIStatusError as error:
            return error.status_code < 500
        except ValueError:
            pass
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
