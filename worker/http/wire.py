"""HTTP/1.1 on the wire: uvicorn's fast parser, with the bounds and the strictness that it leaves out.

Chosen by `--http worker.http.wire:Wire`. What cannot be told by a request's headers alone is refused here; what can,
in worker.http.edge.
"""

from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from worker.http.doors import COMPLETE

HEAD_BYTES_MAX = 64 * 1024
"""Of a request line with its headers, of the trailers, and of what stands between chunks."""

TOO_LONG = "The headers are too long."


class Wire(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _in_head = True
    _given_up = False

    def data_received(self, data: bytes) -> None:
        """Takes in what came; more of a head than HEAD_BYTES_MAX ends the connection."""
        if self._given_up:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self.send_400_response(TOO_LONG)

    def send_400_response(self, msg: str) -> None:
        """Answers, once, and reads no further. A request before this one is answered first, and this one not."""
        self._given_up = True
        before: RequestResponseCycle | None = self.cycle
        if before is None or before.response_complete:
            super().send_400_response(msg)
        else:
            before.keep_alive = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are left out: whoever looked at the headers before us did not see them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        cast("dict[str, Any]", self.scope)[COMPLETE] = True
