"""The errors that a user can cause, each with one message that says which file, what was found, what is
expected and what to do. Every class takes a single string, so that Ray can carry it between processes."""


class HarnessError(Exception):
    """Base of all named errors; the commands print its message alone and exit with status 2."""


class StudyError(HarnessError):
    """A study, scale, protocol or option is not what it must be."""


class DataError(HarnessError):
    """A dataset file or folder is missing, unreadable or inconsistent."""


class DataUnavailableError(HarnessError):
    """A cell cannot be filled with the data that is there; it is left out, visibly, and the study goes on."""


class StoreError(HarnessError):
    """The home folder cannot be written, or a stored folder is damaged."""


class ResourceError(HarnessError):
    """A stage asks for more than the machine or the cluster has."""


class RemoteError(StoreError):
    """The store at a URL cannot be reached, refuses, or holds something damaged."""
