"""The three ways in which a command can fail, each with its exit code."""


class StellarEmulatorError(Exception):
    """Base of all errors that a user can cause and repair; the message says how."""

    exit_code = 2


class RefusedError(StellarEmulatorError):
    """A check refused: the grid breaks its contract, or a model misses a limit (exit code 1)."""

    exit_code = 1


class InputError(StellarEmulatorError):
    """An argument, a file or a label can't be used as given (exit code 2).

    about: name of the one spectrum that can't be used, empty if it is not about one.
    """

    exit_code = 2
    about = ""


class SetupError(StellarEmulatorError):
    """Something the machine lacks: a compiler, a package, a network (exit code 3)."""

    exit_code = 3
