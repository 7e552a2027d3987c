"""Banner: the first thing a person sees, and the version that everything else quotes."""

VERSION = "0.1.0"

_ART = r"""
  _    _
 | |  | |
 | |__| | ___ _ __ __ _
 |  __  |/ _ \ '__/ _` |
 | |  | |  __/ | | (_| |
 |_|  |_|\___|_|  \__,_|  """

_SENTENCE = "Hera is a Starknet full node in Python whose processes sync blocks from peers and prove each one."


def banner() -> str:
    """Return the picture, the version and one sentence, ready to print."""
    return f"{_ART.removeprefix(chr(10))}{VERSION}\n\n{_SENTENCE}\n"
