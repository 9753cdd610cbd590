"""A server with OpenAI's chat completions (vLLM, SGLang, llama.cpp, a vendor's) behind the engine's interface."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import openai

from stages.lib.console.errors import UserError
from stages.lib.engines.base import (
    Reply,
    Request,
    Usage,
    failed_reply,
    has_system,
    no_system_role_reply,
    num_droppable_turns,
)
from stages.lib.engines.openai_client import RETRY_STATE, RetryState, ServerClient, Unanswered
from stages.lib.engines.openai_replies import error_code
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.records.chats import Message, drop_oldest_turns
from stages.lib.settings.runtime import Runtime

MAX_CONSECUTIVE_FAILURES = 3  # requests unanswered for all of retry_seconds, until the run ends
POLL_SECONDS = 1.0

T = TypeVar("T")


class OpenAIEngine:
    """Sends every submitted request at once; they wait in an event loop in a thread of its own."""

    num_replicas = 1  # how many the server has is its own affair

    def __init__(self, model: Model, config: RequestConfig, runtime: Runtime) -> None:
        self.config, self._retry_seconds = config, runtime.server.retry_seconds
        self.description = f"openai {openai.__version__}"
        self._ended: queue.SimpleQueue[tuple[str, Reply | None]] = queue.SimpleQueue()
        self._num_running = self._consecutive_failures = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self.client = self._wait_for(self._connect(model, runtime))
            self._wait_for(self.client.check())
        except BaseException:
            self.close()
            raise

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, model: Model, runtime: Runtime) -> ServerClient:
        """Make the client inside the loop that it belongs to."""
        return ServerClient(model, self.config, runtime)

    def submit(self, key: str, request: Request) -> None:
        """Send a request."""
        self._num_running += 1
        asyncio.run_coroutine_threadsafe(self._run(key, request), self._loop)

    def step(self) -> list[tuple[str, Reply]]:
        """Wait for the next replies; raise an error only when all requests under way have ended, as they are paid."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=POLL_SECONDS))
            while True:
                ended.append(self._ended.get_nowait())
        self._num_running -= len(ended)
        replies = [(key, reply) for key, reply in ended if reply is not None]
        if self.client.error and not self._num_running and not replies:
            raise self.client.error
        return replies

    async def _run(self, key: str, request: Request) -> None:
        """Answer a request, or note the error that ends the run."""
        reply = None
        try:
            RETRY_STATE.set(RetryState(session=key))
            reply = await self._answer(request)
        except Exception as error:
            self.client.error = self.client.error or error
        finally:
            self._ended.put((key, reply))

    async def _answer(self, request: Request) -> Reply:
        """Return the server's reply, or one of `failed` with the reason."""
        try:
            if not await self._has_role_for(request):
                return no_system_role_reply()
            reply = await self._fit_and_send(request)
        except (Unanswered, openai.APIConnectionError) as error:
            return await self._give_up(str(error))
        except openai.APIStatusError as error:
            if error.status_code == 429 or error.status_code >= 500:  # the server says not to repeat it
                return await self._give_up(error_code(error))
            if error.status_code != 403:  # the key was good before: it is this text that a vendor forbids
                self.client.raise_if_hopeless(error)
            return failed_reply(f"the server refuses it ({error_code(error)})")
        except (ValueError, TypeError) as error:  # what cannot be sent, or is not a completion
            return failed_reply(f"it cannot be asked, or what comes back cannot be read ({type(error).__name__})")
        self._consecutive_failures = 0
        return reply

    async def _has_role_for(self, request: Request) -> bool:
        """Tell whether the server takes a chat's system message; the catalogue's own is not in question."""
        if self.config.system_prompt or not has_system(request.messages):
            return True
        return await self.client.has_system_role()

    async def _give_up(self, reason: str) -> Reply:
        """Fail a request; raise UserError when the server cannot be reached, or has failed too many in a row."""
        self._consecutive_failures += 1
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES or not await self.client.is_reachable():
            raise UserError(
                f"{self.client.where} has not answered for {self._retry_seconds:g} s ({reason}); what is finished is "
                f"in the store: check the server, then run again to continue"
            )
        return failed_reply(f"the server did not answer it, however often it was asked ({reason})")

    async def _fit_and_send(self, request: Request) -> Reply:
        """Send a chat; with `trim: oldest`, without as many of its oldest turns as make room for a whole reply."""
        config = self.config
        for turns in range(num_droppable_turns(request.messages, config) + 1):
            messages = drop_oldest_turns(request.messages, turns)
            reply = await self.client.complete(messages, request.seed, config.max_tokens)
            if reply and reply.prompt_tokens + config.max_tokens <= config.window:
                break
        else:
            reply = await self._send_without_room(messages, request.seed, reply)
        return reply._replace(trimmed_turns=turns)

    async def _send_without_room(self, messages: list[Message], seed: int, reply: Reply | None) -> Reply:
        """Return the reply to a chat that leaves no room for a whole one: it takes what is left of the window.

        A server that refused the chat with max_tokens is asked without: it then gives what is left, which is less.
        (Its refusal cannot be trusted to tell the number: vLLM stops counting at its limit.)
        """
        window = self.config.window
        reply = reply or await self.client.complete(messages, seed, None)
        if reply is None:  # the prompt has at least this many tokens; nobody says how many
            return Reply("", "context_overflow", window, 0)
        room = window - reply.prompt_tokens
        if room < 1:
            return Reply("", "context_overflow", reply.prompt_tokens, 0)
        if reply.completion_tokens > room:  # the server's window is larger than the catalogue's
            return await self.client.complete(messages, seed, room) or reply
        return reply

    def usage(self) -> Usage:
        """Return nothing: the server's machine is unknown."""
        return Usage()

    def close(self) -> None:
        """Cancel the requests under way, close the connections and end the thread."""
        self._wait_for(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _disconnect(self) -> None:
        """Cancel all other tasks of the loop, then close the client."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if hasattr(self, "client"):
            await self.client.close()
