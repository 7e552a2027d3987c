"""Progress: draws how many of some blocks are done, on a terminal; what is printed elsewhere stays clean."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Draw a progress bar, on a terminal only; yields what is to be called after each block."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    redirect = sys.stdout.isatty()  # lines then go above the bar; in a file they stay as they are
    with Progress(*columns, console=console, transient=True, redirect_stdout=redirect) as progress:
        bar = progress.add_task("blocks", total=total)
        yield lambda: progress.advance(bar)
