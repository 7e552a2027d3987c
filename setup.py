"""The one part of the package that is compiled; everything else about it stands in setup.cfg."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

KERNEL = "starknet/native"
SOURCES = (
    "module",
    "field",
    "poseidon",
    "curve",
    "pedersen",
    "ecdsa",
    "patricia",
    "trie",
    "adx",
    "wide",
    "wire",
    "lists",
    "forms",
)
HEADERS = ("field", "constants", "kernel", "wire", "forms")
INSTALL = (
    "install gcc or clang and Python's headers "
    "(Debian: apt install gcc python3-dev; macOS: xcode-select --install)"
)


def compiler() -> str | None:
    """The compiler to use: the one asked for by CC, Python's own, or whichever is here."""
    asked = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    for command in (asked, "gcc", "clang", "cc"):
        if command and shutil.which(command.split()[0]):
            return command
        if command and command == os.environ.get("CC"):
            return None
    return None


class BuildKernel(build_ext):
    """Stops with one line where the kernel cannot be compiled."""

    def run(self) -> None:
        """Look for what compiling needs, then compile."""
        command = compiler()
        if command is None:
            sys.exit(f"Hera's hashing kernel needs a C compiler, and none is here: {INSTALL}")
        if not Path(sysconfig.get_path("include"), "Python.h").is_file():
            sys.exit(f"Hera's hashing kernel needs Python.h, which is not here: {INSTALL}")
        os.environ["CC"] = command
        try:
            super().run()
        except CompileError as error:
            sys.exit(f"Hera's hashing kernel did not compile ({error}): {INSTALL}")


setup(
    cmdclass={"build_ext": BuildKernel},
    ext_modules=[
        Extension(
            "starknet.native._kernel",
            sources=[f"{KERNEL}/{name}.c" for name in SOURCES],
            depends=[f"{KERNEL}/{name}.h" for name in HEADERS],
            extra_compile_args=["-std=gnu11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
        )
    ],
)
