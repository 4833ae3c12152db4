"""One OpenAI-compatible endpoint: its place, its key, and what its answers mean.

The key comes from the environment alone. No error carries the library's own, whose request holds
the key; what a server says is cleaned of it before anybody sees it.
"""

import asyncio
import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from engine.errors import ConfigError
from engine.study.resources import Resources

if TYPE_CHECKING:
    from openai import APIStatusError


OPENAI = "https://api.openai.com/v1"
OPENAI_HOSTS = (".openai.com", ".openai.azure.com")
NO_KEY = "none"  # what a server that wants no key is sent, since the library wants one
QUIET = ("openai", "httpx2", "httpcore2")  # they would log every request, some with its headers
SHOWN = 300  # characters of what a server says
ASK_AGAIN = (408, 409, 429)  # and all from 500
OF_THE_ROW = (400, 413, 422)


class Message(BaseModel):
    """What the model says."""

    content: str | None = None
    refusal: str | None = None


class Token(BaseModel):
    """A token of it."""

    logprob: float


class Logprobs(BaseModel):
    """Its tokens, where they were asked for."""

    content: list[Token] | None = None


class Choice(BaseModel):
    """One answer."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(BaseModel):
    """Where the prompt's tokens come from."""

    cached_tokens: int | None = None


class Usage(BaseModel):
    """What was counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Reply(BaseModel):
    """A chat completion, as far as it is read; the library's own types let anything pass."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Usage | None = None


@dataclass(frozen=True)
class Refused:
    """This prompt is never answered."""

    why: str


@dataclass(frozen=True)
class Failed:
    """It may be answered when asked again, after the seconds that the server asks for."""

    why: str
    wait_s: float | None = None


class Endpoint:
    """A connection to it."""

    def __init__(self, resources: Resources) -> None:
        self.url = _url(resources)
        self.is_openai = f".{urlsplit(self.url).hostname}".endswith(OPENAI_HOSTS)
        self._timeout_s = resources.request_timeout_s
        self._variable = resources.api_key_env
        self._key = self._read_key()
        import httpx2  # imported late: a plan does without
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=self.url,
            timeout=None,  # it would count from each piece of an answer
            # It would not ask again for JSON that is none, nor wait for longer than two minutes,
            # and what it sends again passes by the rates.
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_keepalive_connections=resources.max_num_seqs)
            ),
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection is not pickled: it holds a key")

    async def ask(self, request: Mapping[str, Any]) -> Reply | Refused | Failed:
        """Send a request once.

        Raises:
            ConfigError: None like it will ever be answered.
        """
        outcome = await self._outcome(request)
        if isinstance(outcome, ConfigError):
            raise outcome  # out here, where it drags no error of the library along
        return outcome

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def _outcome(self, request: Mapping[str, Any]) -> Reply | Refused | Failed | ConfigError:
        import openai

        completions = self._client.chat.completions.with_raw_response
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await completions.create(**request)
        except openai.APIStatusError as error:
            return self._meaning(error, request)
        except TimeoutError:
            return Failed(f"no answer in {self._timeout_s:g} s (resources.request_timeout_s)")
        except openai.APIConnectionError as error:
            return Failed(self._clean(f"no connection, or a broken one: {error.__cause__!r}"))
        try:
            return Reply.model_validate_json(_readable(answer.content))
        except (ValueError, RecursionError):
            return Failed(f"its answer is no chat completion: {self._clean(answer.text)!r}")

    def _meaning(
        self, error: "APIStatusError", request: Mapping[str, Any]
    ) -> Refused | Failed | ConfigError:
        """Return what an HTTP status that is no success means."""
        status, body = error.status_code, error.body
        message = body.get("message") if isinstance(body, dict) else None
        said = self._clean(str(message or body or "nothing"))
        context = f"The endpoint {self.url} answers HTTP {status}"
        if status in (401, 403):  # what it says of the key is not repeated
            return ConfigError(f"{context}. {self._key_advice()}")
        if status == 402 or error.code == "insufficient_quota":
            return ConfigError(f"{context}: {said} Its account has nothing left; fill it up.")
        if status in ASK_AGAIN or status >= 500:
            return Failed(f"HTTP {status}: {said}", _asked_wait(error.response.headers))
        if status in OF_THE_ROW and not _names_a_setting(error, request):
            return Refused(f"the endpoint refuses it (HTTP {status}): {said}")
        if status in OF_THE_ROW:
            return ConfigError(
                f"{context} to {self._clean(str(error.param))!r} of [generate]: {said}"
            )
        return ConfigError(
            f"{context} when asked for generate.model {request['model']!r}: {said} Name a model "
            f"that it serves, as {self.url}/models lists them, and write all of "
            "resources.endpoint: it most often ends in /v1."
        )

    def _key_advice(self) -> str:
        variable = f"the environment variable {self._variable} (resources.api_key_env)"
        if self._key:
            return f"It does not take the key in {variable}, or not for this model."
        return f"It wants a key: put it into {variable} where the engine runs."

    def _read_key(self) -> str | None:
        key = os.environ.get(self._variable, "").strip()
        variable = f"the environment variable {self._variable} (resources.api_key_env)"
        if not (key.isascii() and key.isprintable()):  # an error of the library would show it
            raise ConfigError(f"What is in {variable} cannot be a key: it has odd characters.")
        if not key and self.is_openai:
            raise ConfigError(
                f"The endpoint {self.url} wants a key, but {variable} is not set where the engine "
                "runs. Set it there; or name a server of your own: resources.endpoint."
            )
        return key or None

    def _clean(self, text: str) -> str:
        """Return what a server says, short and without the key."""
        text = " ".join((text.replace(self._key, "***") if self._key else text).split())
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _readable(content: bytes) -> bytes:
    """Return JSON without what is no character: bytes that are not UTF-8, and lone surrogates."""
    whole = json.loads(content.decode("utf-8", "replace"))
    return json.dumps(whole, ensure_ascii=False).encode("utf-8", "replace")


def _url(resources: Resources) -> str:
    url = (resources.endpoint or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
    parts = urlsplit(url)
    name = "resources.endpoint" if resources.endpoint else "OPENAI_BASE_URL"
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"{name} holds more than a place. Keys are read from the environment only: name the "
            "variable in resources.api_key_env."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{name} is {url!r}; it is a URL, such as http://localhost:8000/v1.")
    return url


def _names_a_setting(error: "APIStatusError", request: Mapping[str, Any]) -> bool:
    """Return whether a server blames what is the same in every request of a recipe."""
    if error.code == "context_length_exceeded":
        return False
    sent = {*request, *request["extra_body"]} - {"messages"}
    return str(error.param).split(".")[0] in sent


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks for: Retry-After as a number or a date."""
    for name, seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(name, "")) * seconds
        except ValueError:
            continue
        if math.isfinite(wait):
            return max(wait, 0)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return max((date - datetime.now(UTC)).total_seconds(), 0)
    except (TypeError, ValueError):  # of a date without a zone, or no date
        return None
