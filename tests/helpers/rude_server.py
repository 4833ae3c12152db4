"""An OpenAI-compatible server that misbehaves as it is told, and notes what it is asked."""

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Say:
    """Answers with this; ``{authorization}`` in body and headers is what it was sent."""

    status: int
    body: str = '{"error": {"message": "as told"}}'
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Says nothing until the server closes."""


@dataclass(frozen=True)
class Cut:
    """Ends the connection after so many bytes of a proper answer."""

    after: int = 0


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    at: float
    body: dict
    headers: dict


def answered(text, tokens=5, **choice):
    """The body of a proper answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})


class RudeServer:
    """Does what it was told, one thing per request, and then answers properly, or for ever."""

    def __init__(self, *things, always=None, tokens=5, takes_s=0.0, now=time.monotonic):
        self.asked, self.most_at_once = [], 0
        self._things, self._always = list(things), always
        self._tokens, self._takes_s, self._now = tokens, takes_s, now
        self._lock, self._open, self._closing = threading.Lock(), 0, threading.Event()
        rude = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                rude.serve(self)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def serve(self, handler):
        """Answer one request."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.asked.append(
                Asked(
                    self._now(),
                    body,
                    {name.lower(): value for name, value in handler.headers.items()},
                )
            )
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
            thing = self._things.pop(0) if self._things else self._always
        time.sleep(self._takes_s)
        self._do(thing, handler, answered(f"you said {text_of(body)}", self._tokens))
        with self._lock:
            self._open -= 1

    def _do(self, thing, handler, proper):
        if isinstance(thing, Hang):
            self._closing.wait()
        if isinstance(thing, Hang | Cut):
            handler.close_connection = True
        if isinstance(thing, Cut) and thing.after:
            send(handler, Say(200, proper), thing.after)
        elif not isinstance(thing, Hang | Cut):
            send(handler, thing or Say(200, proper))

    def gaps(self):
        """Return the seconds between requests."""
        times = [one.at for one in self.asked]
        return [after - before for before, after in itertools.pairwise(times)]

    def close(self):
        """End it, and whatever hangs."""
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def text_of(body):
    """Return the prompt of a request."""
    return body["messages"][-1]["content"]


def send(handler, said, only=None):
    """Send an answer, or so many bytes of its body."""

    def told(text):
        return text.replace("{authorization}", handler.headers["authorization"])

    body = told(said.body).encode()
    handler.send_response(said.status)
    headers = {"Content-Type": "application/json", **said.headers}
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, told(value))
    handler.end_headers()
    handler.wfile.write(body[:only])
