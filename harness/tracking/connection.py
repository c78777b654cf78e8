"""The MLflow that a home records into: the user's own (MLFLOW_TRACKING_URI), else a database in the home."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import sqlite3
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.console import redacted
from harness.errors import StoreError, StudyError
from harness.files import locked
from harness.store.home_id import home_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "google.cloud.storage": "google-cloud-storage",
    "azure.storage.blob": "azure-storage-blob",
    "azure.storage.filedatalake": "azure-storage-file-datalake",
}
"""Module → package to install, where the names differ."""

_ARTIFACTS = {
    "s3": "boto3",
    "gs": "google.cloud.storage",
    "wasbs": "azure.storage.blob",
    "abfss": "azure.storage.filedatalake",
    "sftp": "paramiko",
}
"""Scheme of an artifact store → module that MLflow reads and writes it with."""

_STORE_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "boto3.exceptions": ("Boto3Error",),
    "google.api_core.exceptions": ("GoogleAPIError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "azure.core.exceptions": ("AzureError",),
}
"""Module → what artifact stores raise; once something was raised, its module is loaded."""

_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("datasets", "dataset_source"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's database that hold the URI of a folder, or JSON with one."""


def is_remote() -> bool:
    """Return whether the user has named a tracking server or a database of their own."""
    return bool(os.environ.get(VARIABLE))


def is_database(uri: str) -> bool:
    """Return whether MLflow itself opens a database at that URI, rather than asking a server."""
    return uri.partition(":")[0].partition("+")[0] in DATABASES


def tracking_uri(home: Path) -> str:
    """Return MLFLOW_TRACKING_URI if the user has set it, else the URI of the database in the home.

    To be shown or saved as `shown_uri` only. Raises StoreError for a home whose path no such URI can hold."""
    if uri := os.environ.get(VARIABLE):
        return uri
    from sqlalchemy import URL, make_url

    path = str(home.absolute() / "mlflow.db")
    with suppress(UnicodeEncodeError):
        for driver in ("sqlite", "sqlite+pysqlite"):  # of the first, MLflow takes the quoted path for that of a folder
            uri = URL.create(driver, database=path).render_as_string()
            if make_url(uri).database == path and (uri.endswith(path) or driver != "sqlite"):
                return uri
    raise StoreError(f"{str(home)!r}: no URI of a database can hold this path; give a --home of plain characters")


def shown_uri(home: Path) -> str:
    """Return the tracking URI without its password."""
    return redacted(tracking_uri(home))


def ui_address(home: Path, port: int) -> str:
    """Return the address of MLflow's UI: on this machine at that port, or that of the user's own server.

    It is empty for a server on another machine, so that its name is in no link."""
    uri = tracking_uri(home)
    if not uri.startswith("http"):
        return f"http://127.0.0.1:{port}"
    server = urlsplit(uri)
    if server.hostname not in ("127.0.0.1", "localhost"):
        return ""
    return f"{server.scheme}://{server.netloc.rpartition('@')[2]}{server.path.rstrip('/')}"


def errors(*further: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what MLflow, its back ends and missing packages of theirs raise, and `further` exceptions."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    stores = [
        getattr(sys.modules[name], one) for name, ones in _STORE_ERRORS.items() if name in sys.modules for one in ones
    ]
    return MlflowException, SQLAlchemyError, OSError, ImportError, *stores, *further  # requests raises OSErrors


def first_line(error: Exception) -> str:
    """Return what failed on one line, without passwords, and the package to install if one is missing."""
    line = redacted(str(error).strip() or type(error).__name__).splitlines()[0][:300]
    package = _installation(error.name) if isinstance(error, ImportError) and error.name else ""
    return line + (f"; {package}" if package else "")


def check_driver(uri: str) -> None:
    """Raise StudyError if the package for the database at that URI is missing, or nothing can be at that URI."""
    if not is_database(uri):
        return
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        dialect = make_url(uri).get_dialect()
    except ArgumentError as error:
        raise StudyError(
            f"{VARIABLE}: {redacted(uri)} is not the URI of a database ({first_line(error)}); expected "
            "dialect://user:password@host/name"
        ) from None
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise _missing(uri, error, error.name or dialect.driver) from None


def check_artifacts(home: Path, study: str) -> None:
    """Raise StudyError if the package for the artifact store of a study is missing. Raises what `errors` names."""
    client = connect(home)
    experiment = client.get_experiment_by_name(study) or client.get_experiment("0")  # made by MLflow
    if module := _ARTIFACTS.get(experiment.artifact_location.partition(":")[0]):
        try:
            import_module(module)
        except ImportError as error:
            raise _missing(experiment.artifact_location, error, module) from None


def connect(home: Path, uri: str = "") -> MlflowClient:
    """Return a quiet client of the MLflow of that URI, by default the home's own; it gives up on a silent server soon.

    One process at a time makes a new database."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.db", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they log as an error is raised too
    if not uri and not is_remote():
        follow_home(home)
    uri = uri or tracking_uri(home)
    if is_database(uri):
        _require_database(uri)
    return MlflowClient(uri)


def follow_home(home: Path) -> None:
    """Make the database of a home that was copied or moved lead into this home: it holds the id and absolute paths.

    Raises what `errors` names."""
    path, new = home / "mlflow.db", home.resolve()
    own = home_id(home) if path.is_file() else None
    if own is None or not own.former:
        return
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        for former, place in own.former:
            old = Path(place)
            inside = f"{old.as_uri()}/mlartifacts/"
            is_stale = "SELECT 1 FROM experiments WHERE substr(artifact_location, 1, length(:inside)) = :inside"
            if old != new and database.execute(is_stale, {"inside": inside}).fetchone():
                values = {"old": f"{old.as_uri()}/", "new": f"{new.as_uri()}/"}
                for table, column in _LOCATIONS:
                    change = f"UPDATE {table} SET {column} = replace({column}, :old, :new) WHERE instr({column}, :old)"
                    database.execute(change, values)
                values = {"old": f"{old}/", "new": f"{new}/"}
                for table in ("tags", "params"):
                    change = f"UPDATE {table} SET value = :new || substr(value, length(:old) + 1)"
                    database.execute(f"{change} WHERE substr(value, 1, length(:old)) = :old", values)
            if former != own.id:
                for table, name, value in (("tags", "key", "value"), ("logged_model_tags", "tag_key", "tag_value")):
                    change = f"UPDATE {table} SET {value} = ? WHERE {name} = 'store' AND {value} = ?"
                    database.execute(change, (own.id, former))


def _require_database(uri: str) -> None:
    """Make the SQLite database at that URI if there is none; it is there as a whole or not at all."""
    from mlflow import MlflowClient
    from sqlalchemy import make_url

    url = make_url(uri)
    if url.get_backend_name() != "sqlite" or not url.database or Path(url.database).is_file():
        return
    database = Path(url.database)
    with locked(database):
        if not database.is_file():  # under another name, so that nobody finds an incomplete one
            for old in database.parent.glob(f".{database.name}.draft-*"):
                old.unlink()
            draft = database.with_name(f".{database.name}.draft-{secrets.token_hex(4)}")
            place = url.set(database=str(draft)).render_as_string(hide_password=False)
            MlflowClient(place).search_experiments(max_results=1)
            draft.rename(database)


def _missing(uri: str, error: ImportError, module: str) -> StudyError:
    return StudyError(
        f"{VARIABLE}: {redacted(uri)} needs a package that cannot be imported ({error}); {_installation(module)}"
    )


def _installation(module: str) -> str:
    top = module.partition(".")[0]
    return f"install it: {shlex.join(['pip', 'install', _PACKAGES.get(module, _PACKAGES.get(top, top))])}"
