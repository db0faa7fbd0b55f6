"""What can go wrong in the exporter, and whose fault it is.

    ExporterError
    ├── StorageError              the state file cannot be written
    └── DockerError               the daemon did not answer a question
        ├── DockerAbsentError     nothing listens where it should
        ├── DockerForbiddenError  it, its socket or a proxy before it refuses us
        ├── DockerTimeoutError    it did not answer in time
        ├── DockerLostError       it ended the connection, or answered something that is no answer
        └── ContainerGoneError    it knows no container of that id

Each text is place, fault and remedy; none of them ends the exporter.
"""

__all__ = [
    "ContainerGoneError",
    "DockerAbsentError",
    "DockerError",
    "DockerForbiddenError",
    "DockerLostError",
    "DockerTimeoutError",
    "ExporterError",
    "StorageError",
]


class ExporterError(Exception):
    """Root of everything the exporter raises."""


class StorageError(ExporterError):
    """The state file cannot be written; the exporter runs on without it."""


class DockerError(ExporterError):
    """The daemon did not answer a question."""


class DockerAbsentError(DockerError):
    """Nothing listens where the daemon should be."""


class DockerForbiddenError(DockerError):
    """We may not ask."""


class DockerTimeoutError(DockerError):
    """The daemon did not answer in time."""


class DockerLostError(DockerError):
    """The connection ended, or the answer was none."""


class ContainerGoneError(DockerError):
    """The daemon knows no such container (any more)."""
