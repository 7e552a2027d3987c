"""Scripts in other languages, told what to do and heard by lines of JSON."""

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 30.0
LINE_BYTES_MAX = 16 << 20


class Refused(Exception):
    """A script could not do what it was told; ``name`` is the error's in its language, ``code`` a JSON-RPC error's."""

    def __init__(self, name: str, why: str, code: object = None) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why
        self.code = code


class Script:
    """A command as a child process; ``hello`` is the first line it said."""

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self.name = log.stem
        self._log = log
        self._received = b""
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
            )
        self.hello = self._line(PATIENCE_SECONDS)

    def call(self, do: str, *, seconds: float = PATIENCE_SECONDS, **given: Any) -> Any:
        """Tell the script to do something and return what came of it. Raises ``Refused``."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **given}).encode() + b"\n")
        answer = self._line(seconds)
        if "error" in answer:
            raise Refused(answer["error"], answer["why"], answer.get("code"))
        return answer["done"]

    def kill(self) -> None:
        """Leave nothing of it running."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _line(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            assert ready, f"{self.name} said nothing in {seconds} s"
            chunk = os.read(self.process.stdout.fileno(), 65536)
            assert chunk, f"{self.name} ended: {self._log.read_text()[-2000:]}"
            self._received += chunk
            assert len(self._received) <= LINE_BYTES_MAX
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
