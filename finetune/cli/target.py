"""Where the app and its storage are: flags first, then the environment, then the local stack if it runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from finetune.client import Client, UnreachableError
from finetune.client.client import PATIENCE_SECONDS

STACK = Path(__file__).parents[2] / ".local" / "stack.json"
URL_SETTING = "FINETUNE_URL"
KEY_SETTING = "FINETUNE_KEY"
STORAGE_SETTING = "FINETUNE_STORAGE"


class LocalStack(msgspec.Struct, frozen=True):
    """What `make dev` notes of itself."""

    functions_url: str = ""
    function_key: str = ""
    blob_connection_string: str = ""


class Storage(NamedTuple):
    """The account with the container `uploads`: by its connection string, or by its address and a login."""

    connection_string: str | None
    account_url: str | None


def add_app_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the app is."""
    group = parser.add_argument_group("the app", "The local one, if `make dev` runs, unless given.")
    group.add_argument("--url", help=f"its address, e.g. https://app.azurewebsites.net ({URL_SETTING})")
    group.add_argument("--key", help=f"a function key; {KEY_SETTING} keeps it out of the list of processes")


def connect(options: argparse.Namespace, *, patience_seconds: float = PATIENCE_SECONDS) -> Client:
    """A client of the app, which waits so long for an answer.

    Raises:
        UnreachableError: Nothing says where the app is.
    """
    given = options.url or os.environ.get(URL_SETTING)
    stack = LocalStack() if given else local_stack()
    url = given or stack.functions_url
    key = options.key or os.environ.get(KEY_SETTING) or stack.function_key
    if not url:
        raise UnreachableError(
            f"no app: set {URL_SETTING} and {KEY_SETTING} (or give --url and --key),"
            " or start a local one: make dev"
        )
    if not key:
        raise UnreachableError(f"no key for {url}: set {KEY_SETTING}, or give --key")
    if not url.startswith(("https://", "http://")):
        raise UnreachableError(f"{url!r} is no address: it begins with https://")
    return Client(url, key, patience_seconds=patience_seconds)


def storage(options: argparse.Namespace) -> Storage | None:
    """The storage account; None if nothing says where it is.

    `--storage` and its variable take either form: an address begins with http.
    """
    given = options.storage or os.environ.get(STORAGE_SETTING)
    if given:
        return Storage(None, given) if given.startswith("http") else Storage(given, None)
    local = local_stack().blob_connection_string
    return Storage(local, None) if local else None


def local_stack() -> LocalStack:
    """The stack of `make dev` in this checkout, if one runs."""
    try:
        return msgspec.json.decode(STACK.read_bytes(), type=LocalStack)
    except (FileNotFoundError, msgspec.DecodeError):
        return LocalStack()
