"""The errors that a user can cause.

Each has one message that says which file, what was found, what is expected and what to do. Every class takes a single
string, so that Ray can carry it between processes."""


class HarnessError(Exception):
    """Base of all named errors; the commands print its message without a traceback and exit with status 2."""


class StudyError(HarnessError):
    """A study, scale, protocol or option is invalid."""


class DataError(HarnessError):
    """A dataset file or folder is missing, unreadable or inconsistent."""


class DataUnavailableError(HarnessError):
    """The available data does not allow a cell; it is reported as skipped, and the study goes on."""


class CommandError(HarnessError):
    """A command that a method runs cannot be started, fails, takes too long, or leaves something else than masks."""


class StoreError(HarnessError):
    """The home folder cannot be written, or a stored folder is damaged."""


class DiskFullError(StoreError):
    """The file system of a home has no room left, or the user's quota is used up."""


class ResourceError(HarnessError):
    """A stage needs more than the machine or the cluster has."""


class RemoteError(StoreError):
    """The store at a URL cannot be reached, refuses access, or holds something damaged."""
