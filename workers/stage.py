"""The two words of the pipeline page: a Source begins messages, a Stage turns taken messages into given ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from broker.link import Link
from broker.topic import Topic
from workers.settings import Settings

Taken = TypeVar("Taken")
Taken_contra = TypeVar("Taken_contra", contravariant=True)


@dataclass(frozen=True)
class Finished:
    """Messages (by ticket) that are done with, together with all that they gave; kept or lost as one."""

    tickets: tuple[int, ...]
    outputs: tuple[object, ...] = ()


class Keeper(Protocol[Taken_contra]):
    """A stage that may hold messages back. ``take`` says which tickets are finished now, with their outputs.

    A held ticket stays leased: if the process dies the broker hands its message out again.
    """

    def take(self, ticket: int, message: Taken_contra) -> Iterable[Finished]:
        """Take one message; raise ``PeerFault`` to blame its sender, ``TryLater`` to see it again."""
        ...

    def close(self) -> None:
        """Release what is held open (store, files). Called once, after the last ``take``."""
        ...


@dataclass(frozen=True)
class Stage(Generic[Taken]):
    """A process that takes one topic, as a rule. ``start`` opens what it needs and returns its keeper.

    ``gives`` are the topics of its outputs; an output goes to the topic that carries its type. ``also`` are topics
    that its keeper takes besides. ``credit`` is how many messages one process may hold leased at once; ``patience_s``
    how long it may take over one before it is ended as hanging (``workers.watchdog``).
    """

    name: str
    takes: Topic[Taken]
    start: Callable[[Settings], Keeper[Taken]]
    gives: tuple[Topic[Any], ...]
    credit: int = 1
    patience_s: float = 120.0
    also: tuple[Topic[Any], ...] = ()

    @property
    def taken(self) -> tuple[Topic[Any], ...]:
        """The topics it takes, as a ``Source`` has them."""
        return (self.takes, *self.also)


@dataclass(frozen=True)
class Source:
    """A process with a loop of its own that speaks with the outside; takes and gives through its link.

    ``main`` serves until SIGTERM or SIGINT; ``SystemExit`` says why it ends otherwise (``workers.runtime``). It uses
    its link only once the store and its sockets are open: the first use says that it is up (``workers.notify``).
    ``credit`` is how many messages it may hold leased at once; ``patience_s`` how long it may leave its link unused
    before it is ended as hanging (``workers.watchdog``).
    """

    name: str
    main: Callable[[Settings, Link], None]
    takes: tuple[Topic[Any], ...] = ()
    gives: tuple[Topic[Any], ...] = ()
    credit: int = 64
    patience_s: float = 120.0

    @property
    def taken(self) -> tuple[Topic[Any], ...]:
        """The topics it takes."""
        return self.takes


class _Pure(Generic[Taken]):
    def __init__(
        self, settings: Settings, run: Callable[[Settings, Taken], Iterable[object]]
    ) -> None:
        self._settings = settings
        self._run = run

    def take(self, ticket: int, message: Taken) -> Iterable[Finished]:
        return [Finished((ticket,), tuple(self._run(self._settings, message)))]

    def close(self) -> None:
        """Nothing is held."""


def pure(run: Callable[[Settings, Taken], Iterable[object]]) -> Callable[[Settings], Keeper[Taken]]:
    """Make a stage's ``start`` from a plain function: message in, messages out, nothing held back."""

    def start(settings: Settings) -> Keeper[Taken]:
        return _Pure(settings, run)

    return start
