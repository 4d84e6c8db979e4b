"""Owns the tree of errors: three fates, the model's, the loop's and the person's."""

from enum import StrEnum

AUTHENTICATION = 77  # the exit code of a key that is missing, or no good


class JumarError(Exception):
    """Anything that jumar itself raises; its text is one line that says what to do."""


class ToolFailure(JumarError):
    """The model's business: becomes the reply to its call."""


class UsageError(JumarError):
    """The person's business: one line on stderr, and `exit_code`."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Fault(StrEnum):
    """Why a request to a model came to nothing; decides on retry and exit code."""

    CONNECT = "connect"  # no connection, or a cut before anything came
    CUT = "cut"  # the stream ended before the answer did
    OVERLOADED = "overloaded"  # 429 of load, 5xx, 408, 409, 529
    RATE = "rate"  # 429 of limits per minute
    QUOTA = "quota"  # out of money or of the day's tokens: never retried
    AUTHENTICATION = "authentication"
    CONTEXT = "context"  # the history no longer fits
    REFUSED = "refused"  # any other 4xx
    GARBLED = "garbled"  # an answer that is none


RETRYABLE = frozenset({Fault.CONNECT, Fault.CUT, Fault.OVERLOADED, Fault.RATE, Fault.GARBLED})


class ModelError(JumarError):
    """The loop's business: retried where that can help, else the turn fails."""

    def __init__(self, message: str, fault: Fault, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.fault in RETRYABLE
