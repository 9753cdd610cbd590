"""A server with OpenAI's chat completions (vLLM, SGLang, llama.cpp, a vendor's) behind the engine's interface."""

import asyncio
import contextlib
import queue
import re
import threading
import time
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import openai
from openai.types.chat import ChatCompletion

from stages.lib.console.errors import UserError
from stages.lib.engines.base import Reply, Request, Usage, num_droppable_turns
from stages.lib.engines.budget import Budget, Rate
from stages.lib.engines.request import RequestConfig
from stages.lib.models.api_keys import KEYS, key_for
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import Message, drop_oldest_turns
from stages.lib.settings.runtime import Runtime

MAX_CONSECUTIVE_FAILURES = (
    3  # requests in a row that went unanswered for all of retry_seconds, until the server is given up
)
CLIENT_RETRIES = 1000  # repeats, for the client: the time that they take is limited here
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 30.0
POLL_SECONDS = 1.0
TOO_LONG = re.compile(r"context.?(length|window|size)|maximum.{0,20}(length|tokens)|too long|max_new_tokens", re.I)

T = TypeVar("T")


class Unanswered(Exception):
    """A request was repeated for as long as it may be."""


@dataclass(slots=True)
class Trouble:
    """What has gone wrong with one request so far."""

    since: float = 0.0
    what: str = "no connection, or no answer in time"

    def check(self, seconds: float) -> None:
        """Raise Unanswered when the request has been repeated for so long."""
        self.since = self.since or time.monotonic()
        if time.monotonic() - self.since > seconds:
            raise Unanswered(self.what)


TROUBLE: ContextVar[Trouble] = ContextVar("TROUBLE")


class OpenAIEngine:
    """Asks a server, as many requests at once as are submitted; they wait in an event loop in a thread of its own.

    The client repeats what may be repeated (429, 5xx, a lost connection, a timeout) with backoff, and honours
    Retry-After. Every single request, repeated ones too, passes `_admit`.
    """

    def __init__(self, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self.config, self._model, self._server = config, model, runtime.server
        self.description = f"openai {openai.__version__}"
        self.budget, self._rate = Budget(runtime.server), Rate(runtime.server.requests_per_minute)
        self._ended: queue.SimpleQueue[tuple[str, Reply | None]] = queue.SimpleQueue()
        self._open = self._num_unanswered = 0
        self._error: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._client = self._wait_for(self._connect(runtime.max_concurrent))
            self._wait_for(self._check())
        except BaseException:
            self.close()
            raise

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, max_concurrent: int) -> openai.AsyncOpenAI:
        """The client, with a connection for every request under way."""
        http = openai.DefaultAsyncHttpxClient(
            limits=type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=max_concurrent),  # httpx or its successor
            event_hooks={"request": [self._admit], "response": [self._note]},
        )
        return openai.AsyncOpenAI(
            base_url=self._model.location,
            api_key=key_for(self._model.location),
            timeout=openai.Timeout(self._server.timeout_seconds, connect=CONNECT_SECONDS),
            max_retries=CLIENT_RETRIES,
            http_client=http,
        )

    async def _admit(self, http_request: Any) -> None:  # noqa: ANN401  (of httpx2, which the client wraps)
        """Before every single request: its moment, the end of the run, the time for repeats, the budget."""
        if http_request.method != "POST":
            return
        trouble = TROUBLE.get()
        if http_request.headers["x-stainless-retry-count"] != "0":
            trouble.check(self._server.retry_seconds)
            trouble.since += await self._rate.wait()
        else:
            await self._rate.wait()
        if self._error:
            raise self._error
        self.budget.take_request()

    async def _note(self, response: Any) -> None:  # noqa: ANN401
        """Remember how the server answered, to say it when the request is given up."""
        if response.status_code >= 400 and response.request.method == "POST":
            TROUBLE.get().what = f"HTTP {response.status_code}"

    async def _check(self) -> None:
        """Raise UserError unless the server is there, takes the key, has the model and answers as it will be asked."""
        self._check_window(await self._models())
        TROUBLE.set(Trouble())
        try:
            await self._ask([Message(role="user", content="Hi")], self.config.seed, 1)
        except Unanswered as error:
            raise UserError(f"{self._where} does not answer ({error})") from None
        except openai.APIStatusError as error:
            self._raise_if_hopeless(error)
            raise UserError(
                f"{self._where} refuses a plain question ({error_code(error)}): does it know this sampling, and does "
                f"the key allow it?"
            ) from None
        except ValueError as error:
            raise UserError(f"{self._where} does not speak OpenAI's API ({error}); most addresses end in /v1") from None

    @property
    def _where(self) -> str:
        """The beginning of what is said of the server."""
        return f"{self._model.id}: the server at {self._model.location}"

    async def _models(self) -> list[Any]:
        """The server's models; none if it has no such list."""
        try:
            return (await self._client.with_options(max_retries=1, timeout=PROBE_SECONDS).models.list()).data or []
        except openai.APIConnectionError:
            raise UserError(f"{self._where} is not there: start it, or correct the catalogue's address") from None
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                self._raise_if_hopeless(error)
            return []
        except ValueError:
            return []

    def _check_window(self, models: list[Any]) -> None:
        """Raise UserError when the server says that its window is smaller than the catalogue's."""
        self._known = [model.id for model in models]
        [window] = [getattr(model, "max_model_len", 0) or 0 for model in models if model.id == self._name] or [0]
        if 0 < window < self.config.window:
            raise UserError(
                f"{self._where} has a window of {window} tokens, the catalogue says context_window: "
                f"{self.config.window}; correct one of them"
            )

    @property
    def _name(self) -> str:
        """The model's name on the server."""
        return self._model.served_name

    def _raise_if_hopeless(self, error: openai.APIStatusError) -> None:
        """Raise UserError for a wrong key and an unknown model: no other request would fare better."""
        if error.status_code in (401, 403):
            raise UserError(f"{self._where} refuses the key ({error_code(error)}): set {KEYS[0]}") from None
        if error.status_code == 404:
            known = f"; it has: {', '.join(self._known[:5])}" if self._known else ""
            raise UserError(f"{self._where} has no model {self._name!r}{known}") from None

    def submit(self, key: str, request: Request) -> None:
        """Send a request."""
        self._open += 1
        asyncio.run_coroutine_threadsafe(self._run(key, request), self._loop)

    def step(self) -> list[tuple[str, Reply]]:
        """Wait for the next replies. An error is raised when all that was under way has ended: it was paid for."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=POLL_SECONDS))
            while True:
                ended.append(self._ended.get_nowait())
        self._open -= len(ended)
        replies = [(key, reply) for key, reply in ended if reply is not None]
        if self._error and not self._open and not replies:
            raise self._error
        return replies

    async def _run(self, key: str, request: Request) -> None:
        """Answer a request, or note why none can be answered any more."""
        reply = None
        try:
            TROUBLE.set(Trouble())
            reply = await self._answer(request)
        except Exception as error:
            self._error = self._error or error
        finally:
            self._ended.put((key, reply))

    async def _answer(self, request: Request) -> Reply:
        """The server's reply, or why it gives none."""
        try:
            reply = await self._fitted(request)
        except (Unanswered, openai.APIConnectionError) as error:
            return await self._unanswered(str(error))
        except openai.APIStatusError as error:
            if error.status_code == 429 or error.status_code >= 500:  # the server says that repeating is no use
                return await self._unanswered(error_code(error))
            if error.status_code != 403:  # the key was good before: it is this text that a vendor forbids
                self._raise_if_hopeless(error)
            return failed_reply(f"the server refuses it ({error_code(error)})")
        except (ValueError, TypeError) as error:  # of what cannot be sent, or is no answer
            return failed_reply(f"it cannot be asked, or what comes back cannot be read ({type(error).__name__})")
        self._num_unanswered = 0
        return reply

    async def _unanswered(self, why: str) -> Reply:
        """A request given up; raise UserError when the server is gone, or as good as gone."""
        self._num_unanswered += 1
        if self._num_unanswered >= MAX_CONSECUTIVE_FAILURES or not await self._is_there():
            raise UserError(
                f"{self._where} has not answered for {self._server.retry_seconds:g} s ({why}); what is finished is "
                f"in the store: see to the server, and run again to go on"
            )
        return failed_reply(f"the server did not answer it, however often it was asked ({why})")

    async def _is_there(self) -> bool:
        """Whether the server answers anything at all."""
        try:
            await self._client.with_options(max_retries=0, timeout=PROBE_SECONDS).models.list()
        except openai.APIConnectionError:
            return False
        except openai.APIStatusError as error:
            return error.status_code < 500
        except ValueError:
            pass
        return True

    async def _fitted(self, request: Request) -> Reply:
        """Ask without as many of the oldest turns as `config.trim` takes to make room for a whole reply."""
        config = self.config
        for turns in range(num_droppable_turns(request.messages, config) + 1):
            messages = drop_oldest_turns(request.messages, turns)
            reply = await self._ask(messages, request.seed, config.max_tokens)
            if reply and reply.prompt_tokens + config.max_tokens <= config.window:
                break
        else:
            reply = await self._squeezed(messages, request.seed, reply)
        return reply._replace(trimmed_turns=turns)

    async def _squeezed(self, messages: list[Message], seed: int, reply: Reply | None) -> Reply:
        """The reply to a chat beside which a whole one has no room: in what is left of the window.

        A server that refused the chat with max_tokens is asked without: it then gives what is left, which is less.
        (Its refusal cannot be trusted to tell the number: vLLM stops counting at its limit.)
        """
        reply = reply or await self._ask(messages, seed, None)
        if reply is None:  # the prompt has at least so many tokens; no one says how many
            return Reply("", "context_overflow", self.config.window, 0)
        room = self.config.window - reply.prompt_tokens
        if room < 1:
            return Reply("", "context_overflow", reply.prompt_tokens, 0)
        if reply.completion_tokens > room:  # the server's window is larger than the catalogue's
            return await self._ask(messages, seed, room) or reply
        return reply

    async def _ask(self, messages: list[Message], seed: int, max_tokens: int | None) -> Reply | None:
        """One chat completion; None when the server says that it would not fit its window."""
        options = self._options(seed) | {"model": self._name, "messages": messages}
        if max_tokens is not None:
            options["max_tokens"] = max_tokens
        try:
            found = await self._client.chat.completions.create(**options)
        except openai.APIStatusError as error:
            if is_too_long(error):
                return None
            raise
        reply = to_reply(found)
        self.budget.pay(reply.prompt_tokens, reply.completion_tokens)
        return reply

    def _options(self, seed: int) -> dict[str, Any]:
        """The sampling of a request. What not every server knows is sent only when it is asked for."""
        sampling = self.config.sampling
        more = sampling.model_dump(exclude_defaults=True, exclude={"temperature", "top_p"})
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed, "extra_body": more}
        return options | ({"stop": list(self.config.stop)} if self.config.stop else {})

    def usage(self) -> Usage:
        """Nothing is known of the server's machine."""
        return Usage()

    def close(self) -> None:
        """Leave what is under way, and end the thread."""
        self._wait_for(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _disconnect(self) -> None:
        """Cancel what is under way and close the connections."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if hasattr(self, "_client"):
            await self._client.close()


def is_too_long(error: openai.APIStatusError) -> bool:
    """Whether a refusal is about the window. (Each kind of server has its own words.)"""
    if error.status_code not in (400, 413, 422):
        return False
    return error.code == "context_length_exceeded" or bool(TOO_LONG.search(error.message))


def error_code(error: openai.APIStatusError) -> str:
    """A refusal by its number and code: the server's own words may repeat the prompt, or a part of the key."""
    code = error.code or ""
    return f"HTTP {error.status_code}" + (f" {code}" if re.fullmatch(r"[a-z_]{3,40}", code) else "")


def failed_reply(reason: str) -> Reply:
    """The reply to a request that cannot be answered."""
    return Reply("", "failed", 0, 0, reason=reason)


def to_reply(found: ChatCompletion) -> Reply:
    """Take what the pipeline keeps of a chat completion; raise ValueError if it is none."""
    if not isinstance(found, ChatCompletion) or not found.choices:
        raise ValueError("its answer is no chat completion")
    choice, usage = found.choices[0], found.usage
    details = usage.prompt_tokens_details if usage else None
    if choice.finish_reason not in ("stop", "length"):
        return failed_reply(f"the server ended it with {choice.finish_reason!r}")
    return Reply(
        text=with_thinking(choice.message.content, choice.message.model_extra or {}),
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
    )


def with_thinking(text: str | None, more: dict[str, Any]) -> str:
    """A reply with the thoughts that the server took out of it; they have no end when no reply came after them."""
    thoughts = more.get("reasoning_content") or more.get("reasoning") or ""
    if not thoughts:
        return text or ""
    return f"<think>{thoughts}" if text is None else f"<think>{thoughts}</think>{text}"
