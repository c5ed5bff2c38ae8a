"""Clients over real HTTP: a crowd of them on kept-alive connections, and ones that do not give up."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.05
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Request:
    """One POST."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how long. Status 0: nothing came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.json["code"])


class Client:
    """One kept-alive connection, opened anew when it is lost."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)

    def post(self, request: Request) -> Answer:
        began = time.monotonic()
        try:
            self._connection.request("POST", request.path, request.body, dict(request.headers))
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self.close()
            return Answer(0, {}, b"", time.monotonic() - began)
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, content, time.monotonic() - began)

    def post_until_accepted(self, request: Request) -> list[Answer]:
        """Every answer to the same request, sent again and again, the last one a 202."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        answers = [self.post(request)]
        while answers[-1].status != 202:
            assert answers[-1].status in {0, 503}, answers[-1]
            assert time.monotonic() < deadline, answers[-1]
            time.sleep(PAUSE_SECONDS)
            answers.append(self.post(request))
        return answers

    def close(self) -> None:
        self._connection.close()


def post_all(url: str, requests: Sequence[Request], *, clients: int = CLIENTS) -> list[Answer]:
    """One answer per request. Each client sends its share in order, all side by side."""
    return [answers[-1] for answers in _shared_out(url, requests, clients, lambda c, r: [c.post(r)])]


def post_patiently(url: str, requests: Sequence[Request], *, clients: int = CLIENTS) -> list[list[Answer]]:
    """As apps and providers do: the same request again until it is accepted. All answers to each."""
    return _shared_out(url, requests, clients, Client.post_until_accepted)


def accepted(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The bodies of answers that must all be 202."""
    refused = [answer for answer in answers if answer.status != 202]
    assert refused == [], f"{len(refused)} of {len(answers)}, such as {refused[0]}"
    return [answer.json for answer in answers]


def _shared_out(
    url: str,
    requests: Sequence[Request],
    clients: int,
    send: Callable[[Client, Request], list[Answer]],
) -> list[list[Answer]]:
    found: list[list[Answer]] = [[] for _ in requests]

    def serve(number: int) -> None:
        client = Client(url)
        for index in range(number, len(requests), clients):
            found[index] = send(client, requests[index])
        client.close()

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(partial(serve, number)) for number in range(clients)]:
            done.result()
    return found
