"""Errors that users meet. Each knows its exit code (README, "Exit codes") and says what to do."""


class TokenrecError(Exception):
    """Base class: its message is shown without a traceback; `exit_code` ends the command."""

    exit_code = 2


class InputError(TokenrecError):
    """Wrong use or bad input: YAML, rows, options. The message names file, line and what to do."""


class BudgetStop(TokenrecError):
    """A limit on calls, LM tokens, money or minutes was reached. Everything so far is stored."""

    exit_code = 3


class ServiceError(TokenrecError):
    """Something outside (an LM, a disk) failed and retries did not help."""

    exit_code = 4


class ServiceGone(ServiceError):
    """The service can't answer any request (wrong key, wrong address, nobody there): asking on is of no use."""
