"""Errors as exceptions, with the sentences of the command line."""

from __future__ import annotations


class Error(Exception):
    """What convopt could not do, in one sentence.

    `code` says which kind it is: usage, bad_input, environment, partial, verification_failed,
    interrupted or internal. Options in a sentence are those of the command line: `--max-memory` is
    `max_memory` here, `--shape` is `shapes`, `--bind` is `values`, `--model` is `cost_model`.
    """

    code = "internal"


class UsageError(Error, ValueError):
    """The request makes no sense: an unknown name, a value out of range, options that exclude each
    other. Arguments that a function does not have are a TypeError, as everywhere."""

    code = "usage"


class InputError(Error, ValueError):
    """A file, an array or a value in it cannot be used."""

    code = "bad_input"


class MachineError(Error, RuntimeError):
    """This machine, a library's version, a lack of memory or an unwritable path prevents it."""

    code = "environment"


class PartialError(Error):
    """Only some of the work was done; its results are valid."""

    code = "partial"


class VerificationError(Error):
    """A computed result differs from the reference by more than its bound."""

    code = "verification_failed"


class Interrupted(Error):
    """Ended by the user. What was written is complete, and the same call resumes."""

    code = "interrupted"


def exception(code: str, message: str) -> Error:
    """The exception of that kind."""
    for kind in (UsageError, InputError, MachineError, PartialError, VerificationError, Interrupted):
        if kind.code == code:
            return kind(message)
    return Error(message)
