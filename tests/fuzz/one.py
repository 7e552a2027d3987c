"""``python -m tests.fuzz.one TARGET FOLDER FLAG…``: feeds one target under atheris until a flag of libFuzzer's ends it.

FOLDER keeps what gave new coverage; what must not be raised ends the process and is written there as ``crash-…``.
"""

import logging
import sys

import atheris

with atheris.instrument_imports(
    include=["broker", "starknet", "workers", "multiaddr", "libp2p.security.noise"]
):
    from tests.fuzz import seeds, targets


def main(name: str, folder: str, *flags: str) -> None:
    """Feed the target; never returns."""
    logging.disable()
    target = targets.BY_NAME[name]
    for data in seeds.inputs(name):
        target.feed(data)  # what is made once is made now, outside the measured runs
    corpus = str(seeds.CORPUS / name)
    fixed = [f"-artifact_prefix={folder}/", f"-max_len={target.bytes_max}", "-timeout=60"]
    arguments = [sys.argv[0], *fixed, "-print_final_stats=1", *flags, folder, corpus]
    atheris.Setup(arguments, lambda data: target.feed(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
