"""A server that speaks S3, in this process; for the tests of stores at a URL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class S3:
    """It can go down and come back with all that it holds."""

    def __init__(self) -> None:
        self.port = 0
        self.up()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def down(self) -> None:
        self._server.stop()

    def new_url(self) -> str:
        """Return a URL in a new bucket."""
        bucket = f"bucket-{secrets.token_hex(4)}"
        urlopen(Request(f"{self.endpoint}/{bucket}", method="PUT")).close()
        return f"s3://{bucket}/some/prefix"


@contextmanager
def s3_server() -> Iterator[S3]:
    """The environment finds it meanwhile."""
    server = S3()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
                patch.setenv(name, value)
            yield server
    finally:
        server.down()
