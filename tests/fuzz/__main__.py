"""``make fuzz``: each target under atheris for HERA_FUZZ_SECONDS (60), a line for each; exit code 1 after a crash.

TARGETS="name name" takes only those. What gave new coverage is kept under HERA_FUZZ_FOLDER and read again next time.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.seeds import CORPUS

SECONDS = int(os.environ.get("HERA_FUZZ_SECONDS", "60"))
GRACE_SECONDS = 900  # a busy machine starts slowly
RUNS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
COVERED = re.compile(r"\bcov: (\d+)")


def main(names: list[str]) -> int:
    """Run the targets one after another; return how many crashed."""
    wanted = names or sorted(folder.name for folder in CORPUS.iterdir())
    kept = Path(os.environ.get("HERA_FUZZ_FOLDER") or tempfile.mkdtemp(prefix="hera-fuzz-"))
    say(f"{len(wanted)} targets, {SECONDS} s each; new inputs and crashes go to {kept}")
    return sum(not is_clean(name, kept / name) for name in wanted)


def is_clean(name: str, folder: Path) -> bool:
    """Run one target, say how it went, return whether nothing was found."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*-*"))
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.one"]
    command += [name, str(folder), f"-max_total_time={SECONDS}"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS + GRACE_SECONDS,
        check=False,
        text=True,
        errors="replace",
    )
    (folder / "log").write_text(done.stdout)
    found = [path.name for path in set(folder.glob("*-*")) - before]
    runs = RUNS.findall(done.stdout) or ["?"]
    covered = COVERED.findall(done.stdout) or ["?"]
    inputs = sum(1 for _ in folder.iterdir())
    verdict = "clean" if done.returncode == 0 else f"BROKEN {' '.join(found)}: see {folder}/log"
    say(f"{name:20} {runs[-1]:>9} runs  {covered[-1]:>5} edges  {inputs:>5} inputs  {verdict}")
    return done.returncode == 0


def say(line: str) -> None:
    """Write a line at once, also into a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
