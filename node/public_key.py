"""The sequencer's public key: lets through the pinned one, or the gateway's answer where none is pinned."""

from collections.abc import Callable
from functools import partial

from node.config import Config, ConfigError
from workers.log import fields, log

BACK_OFF_SECONDS_MIN = 1.0
BACK_OFF_SECONDS_MAX = 30.0

Wait = Callable[[float], bool]  # sleeps so many seconds; True: stop asking, the process is to end
Ask = Callable[[str], int]  # the gateway's URL in, the key's x out; GatewayUnreachable


class GatewayUnreachable(Exception):
    """The gateway gave no key; the text says why."""


def public_key(config: Config, wait: Wait, ask: Ask | None = None) -> int | None:
    """Return the key that every block's signature must fit; None only if the process was told to end.

    A network without a pinned key has the gateway asked until it answers. With a pin it is asked once, and only
    where a gateway was named, to find out early that it serves another chain: ConfigError.
    """
    if config.public_key is not None:
        return config.public_key
    pinned = config.network.public_key
    if pinned is not None and config.feeder_url is None:
        return pinned
    url = config.feeder_url or config.network.feeder_url
    ask = ask or partial(_fetch, config)
    if pinned is None:
        return _ask_on(url, wait, ask)
    if _ask_once(url, ask) not in (None, pinned):
        raise ConfigError(
            f"the gateway {url} states another public key than that of {config.network.name} "
            f"({pinned:#x}): correct --feeder-url or --network"
        )
    return pinned


def _ask_once(url: str, ask: Ask) -> int | None:
    try:
        return ask(url)
    except GatewayUnreachable as error:
        log.warning(
            "The gateway did not tell its public key; using the pinned one",
            extra=fields(url=url, error=str(error)),
        )
        return None


def _ask_on(url: str, wait: Wait, ask: Ask) -> int | None:
    """Ask until there is an answer: without a key not one block can be checked, so there is nothing else to do."""
    seconds = BACK_OFF_SECONDS_MIN
    while True:
        try:
            return ask(url)
        except GatewayUnreachable as error:
            log.warning(
                "No public key yet: the gateway does not answer; asking again",
                extra=fields(url=url, error=str(error), seconds=seconds),
            )
        if wait(seconds):
            return None
        seconds = min(2 * seconds, BACK_OFF_SECONDS_MAX)


def _fetch(config: Config, url: str) -> int:
    from workers.feeder import client  # here: few processes ask, and the HTTP client is heavy

    try:
        return client.fetch_public_key(url, config.gw_api_key, config.gw_timeout)
    except client.FeederError as error:
        raise GatewayUnreachable(str(error)) from None
