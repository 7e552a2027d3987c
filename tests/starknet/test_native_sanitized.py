"""The kernel under AddressSanitizer and UndefinedBehaviorSanitizer, fed with good and broken input.

As a test it runs for HERA_FUZZ_SECONDS (5 unless told); the loop itself runs in a process of its own, as this
file's main, where the sanitizers are loaded first.
"""

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = os.environ.get("HERA_FUZZ_SECONDS", "5")
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
P = 2**251 + 17 * 2**192 + 1
# Number, kind and fields within, of one field of each kind; number 6 is a message with fields of its own, a oneof
# with numbers 8 and 9 among them.
INNER = [1, 0, 0, 2, 1, 0, 3, 5, 0, 0, 8, 2, 8, 9, 0, 9, 9, 0]
PLAN = bytes([1, 0, 0, 2, 1, 0, 3, 2, 0, 4, 3, 0, 5, 4, 0, 6, 6, 6, *INNER, 7, 7, 0])
# Lists of three rounds with each kind of step, over rows of three columns.
FORM = bytes(
    [
        *(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0),
        *(0, 0, 0, 2, 1, 1, 0, 0),
        *(0, 1, 1, 0, 3, 0, 0, 0, 5, 1, 1, 0, 3, 1, 0, 0, 2, 1, 0, 0, 4, 2, 128, 64),
        *(0, 2, 2, 0, 3, 2, 0, 0, 1, 0, 0, 0),
    ]
)
EDGES = (
    0,
    1,
    2,
    P - 1,
    P,
    P + 1,
    2**64 - 1,
    2**192,
    2**248 - 1,
    2**248,
    2**251 - 1,
    2**251,
    2**256 - 1,
)


def library(name: str) -> str | None:
    """A library of the compiler's, by its path."""
    if shutil.which("gcc") is None:
        return None
    command = ["gcc", f"-print-file-name={name}"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return path if os.path.isabs(path) else None


def test_the_sanitizers_find_nothing(tmp_path: Path) -> None:
    libraries = [library("libasan.so"), library("libubsan.so")]
    if None in libraries:
        pytest.skip("gcc with its sanitizers is not here")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--define", "HERA_CHECKED"]
    command += ["--build-lib", str(tmp_path), "--build-temp", str(tmp_path / "temp")]
    build = os.environ | {"CC": "gcc", "CFLAGS": FLAGS, "LDFLAGS": FLAGS}
    subprocess.run(command, cwd=ROOT, env=build, check=True, capture_output=True)
    path = next((tmp_path / "starknet" / "native").glob("_kernel*.so"))
    environment = (
        os.environ
        | {
            "LD_PRELOAD": " ".join(str(library) for library in libraries),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # the interpreter keeps what it has at exit
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONPATH": str(ROOT),
        }
    )
    done = subprocess.run(
        [sys.executable, __file__, str(path), SECONDS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "good" in done.stdout


class Fuzzer:
    """Calls both builds with the same input; they have to agree, in refusals too."""

    def __init__(self, checked: Any, plain: Any, seed: int) -> None:
        self.checked = checked
        self.plain = plain
        self.random = random.Random(seed)
        self.pages: dict[bytes, bytes] = {}
        self.good = 0
        self.refused = 0

    def number(self) -> int:
        some = self.random
        choice = some.random()
        if choice < 0.01:
            return some.choice(EDGES)
        if choice < 0.2:
            return some.choice(EDGES) % P
        if choice < 0.4:
            return ((1 << some.randrange(252)) + some.randrange(-3, 4)) % P
        return some.randrange(P)

    def buffer(self, felts: int) -> bytes:
        data = b"".join(self.number().to_bytes(32, "big") for _ in range(felts))
        if self.random.random() < 0.05:
            data = data[: self.random.randrange(len(data) + 1)]
        return data

    def count(self) -> int:
        return self.random.choice((0, 1, 2, 3, 5, 8, 16, 33, 65, 130, self.random.randrange(200)))

    def offsets(self, felts: int) -> bytes:
        cuts = sorted(self.random.randrange(felts + 1) for _ in range(self.random.randrange(9)))
        numbers = array("Q", [0, *cuts, felts])
        if self.random.random() < 0.1:
            numbers[self.random.randrange(len(numbers))] = self.random.getrandbits(64)
        data = numbers.tobytes()
        return data[:-3] if self.random.random() < 0.03 else data

    def changes(self) -> bytes:
        some = self.random
        near, far = some.randrange(2**251), some.randrange(252)
        keys = {(near ^ some.randrange(2**far)) % 2**251 for _ in range(some.randrange(20))}
        values = (0 if some.random() < 0.3 else self.number() for _ in keys)
        data = b"".join(
            part.to_bytes(32, "big")
            for entry in zip(sorted(keys), values, strict=True)
            for part in entry
        )
        return data[:-1] if some.random() < 0.01 else data

    def damaged(self, page: bytes | None) -> bytes | None:
        some = self.random
        if page is None or some.random() < 0.1:
            return some.choice((None, b"", some.randbytes(some.randrange(100))))
        at = some.randrange(len(page) + 1)
        return page[:at] + some.randbytes(some.randrange(3)) + page[at + some.randrange(3) :]

    def trie(self) -> tuple[Any, ...]:
        """An update of tries as they are kept, often of a damaged one; its pages are all read."""
        some = self.random
        names = some.sample((b"a", b"b", b"c"), some.randrange(4))
        tries = [(name, self.changes()) for name in names]
        arguments = some.randrange(2), some.choice((0, 100, 400, 2**14)), tries
        pages: dict[bytes, bytes | None] = {}
        for _ in range(252):
            try:
                wanted = self.plain.trie_update(*arguments, pages)
            except (ValueError, LookupError):
                break
            if isinstance(wanted, tuple):
                break
            for name in wanted:
                page = self.pages.get(name)
                pages[name] = self.damaged(page) if some.random() < 0.01 else page
        if pages and some.random() < 0.3:
            name = some.choice(sorted(pages))
            pages[name] = self.damaged(pages[name])
        return *arguments, pages

    def keep(self, result: tuple[bytes, dict[bytes, bytes | None]]) -> None:
        """Go on with the tries that an update came to, damaged or not, until they grow large."""
        for name, page in result[1].items():
            self.pages.pop(name, None)
            if page is not None:
                self.pages[name] = page
        if len(self.pages) > 300:
            self.pages.clear()

    def varint(self, number: int) -> bytes:
        if self.random.random() < 0.02:
            return bytes([0x80 | self.random.randrange(128)] * self.random.randrange(11)) + b"\1"
        out = bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        return bytes([*out, number])

    def message(self, depth: int = 0) -> bytes:
        """Fields of all wire types; those of the plan are likeliest, and some messages break off."""
        parts = []
        for _ in range(self.random.randrange(6)):
            number = self.random.choice((1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1 << 29))
            kind = self.random.choice((0, 1, 2, 2, 2, 2, 3, 4, 5))
            payload = self.random.randbytes(self.random.choice((0, 1, 5, 31, 32, 33)))
            if depth < 3 and self.random.random() < 0.6:
                payload = self.message(depth + 1)
            end = self.varint(number << 3 | 4) if self.random.random() < 0.9 else b""
            body = {
                0: self.varint(self.random.getrandbits(self.random.randrange(65))),
                1: bytes(8),
                2: self.varint(len(payload)) + payload,
                3: payload + end,
                5: bytes(4),
            }
            parts.append(self.varint(number << 3 | kind) + body.get(kind, b""))
        data = b"".join(parts)
        return data[: self.random.randrange(len(data) + 1)] if self.random.random() < 0.05 else data

    def plan(self) -> bytes:
        plan = bytearray(PLAN)
        if self.random.random() < 0.1:
            plan[self.random.randrange(len(plan))] = self.random.randrange(256)
        return bytes(plan[: len(plan) - (self.random.random() < 0.03)])

    def form(self) -> tuple[bytes, bytes, list[tuple[Any, ...]]]:
        some = self.random
        form = bytearray(FORM)
        if some.random() < 0.2:
            form[some.randrange(len(form))] = some.choice((0, 1, 2, 3, 4, 5, 255))
        rows = [tuple(self.value() for _ in range(3)) for _ in range(some.randrange(12))]
        if rows and some.random() < 0.05:
            rows[-1] = rows[-1][:2]
        return bytes(form), self.buffer(2), rows

    def value(self) -> Any:
        """What a column of a row may hold, and sometimes what it may not."""
        some = self.random
        if some.random() < 0.02:
            return some.choice((None, b"", bytes(31), -1, 1 << 64, "", True))
        return some.getrandbits(64) if some.random() < 0.5 else self.number().to_bytes(32, "big")

    def spans(self) -> tuple[bytes, int, int, int]:
        messages = (self.message() for _ in range(self.random.randrange(5)))
        body = b"".join(self.varint(len(message)) + message for message in messages)
        start = self.random.choice((0, 0, 0, -1, self.random.randrange(200)))
        return body, start, self.random.randrange(6), self.random.choice((1 << 20, 30, -1))

    def arguments(self) -> tuple[str, tuple[Any, ...]]:
        name = self.random.choice(NAMES)
        count = self.count()
        kind = self.random.randrange(2)
        whole = {"trie_update": self.trie, "wire_spans": self.spans, "form_hashes": self.form}
        if name in whole:
            return name, whole[name]()
        if name in ("pedersen", "poseidon"):
            return name, (self.buffer(1), self.buffer(1))
        if name in ("pedersen_int", "poseidon_int"):
            return name, (self.number() - self.random.randrange(3), self.number())
        if name in ("pedersen_pairs", "poseidon_pairs"):
            return name, (self.buffer(2 * count),)
        if name in ("pedersen_array_ints", "poseidon_many_ints"):
            return name, ([self.number() for _ in range(count % 40)],)
        if name in ("poseidon_many", "pedersen_chains"):
            return name, (self.buffer(count), self.offsets(count))
        if name == "patricia_root":
            return name, (kind, self.random.randrange(-1, 67), self.buffer(count))
        if name == "wire_rows":
            return name, (self.plan(), [self.message() for _ in range(count % 5)])
        if name == "felts_json":
            return name, (self.buffer(count),)
        return name, (self.buffer(4 * (count % 4)),)

    def once(self) -> None:
        name, arguments = self.arguments()
        if self.random.random() < 0.05:
            self.checked.choose(self.random.random() < 0.5, self.random.random() < 0.5)
        outcomes = []
        for module in (self.checked, self.plain):
            try:
                outcomes.append(getattr(module, name)(*arguments))
            except (ValueError, LookupError) as error:
                outcomes.append(str(error))
        if outcomes[0] != outcomes[1]:
            raise AssertionError(f"{name}{arguments!r}: {outcomes!r}")
        if isinstance(outcomes[0], str):
            self.refused += 1
        else:
            self.good += 1
            if name == "trie_update" and isinstance(outcomes[0], tuple):
                self.keep(outcomes[0])


NAMES = (
    "pedersen",
    "poseidon",
    "pedersen_int",
    "poseidon_int",
    "pedersen_pairs",
    "poseidon_pairs",
    "pedersen_array_ints",
    "poseidon_many_ints",
    "poseidon_many",
    "pedersen_chains",
    "patricia_root",
    "trie_update",
    "ecdsa_verify",
    "wire_rows",
    "wire_spans",
    "form_hashes",
    "felts_json",
)


def load(path: Path) -> Any:
    """The build at a path."""
    spec = importlib.util.spec_from_file_location("starknet.native._kernel", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Fuzz the build at the first argument for as many seconds as the second says."""
    from starknet.native import _kernel

    seed = random.SystemRandom().getrandbits(32)
    fuzzer = Fuzzer(load(Path(sys.argv[1])), _kernel, seed)
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        fuzzer.once()
    sys.stdout.write(f"{fuzzer.good} good calls, {fuzzer.refused} refused, seed {seed}\n")


if __name__ == "__main__":
    main()
