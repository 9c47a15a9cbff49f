"""Creates a file only if there is none of its name: of several processes on several machines one alone succeeds.

It is the compare-and-swap that folders and stores have in common: a hard link, which network file systems make at
once or not at all, and a conditional put (`If-None-Match: *` on S3, a generation of 0 on Google Cloud Storage).
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow.fs as pafs

from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.system.storage import Storage

SETTLE_SECS = 2.0
"""Longer than a store takes to be read and written once."""
REQUEST_SECS = timedelta(seconds=20)

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class NoConditionalPutError(OSError):
    """A store does not keep the condition of a put, or cannot be asked to: the message says why."""


def create_new(storage: Storage, name: str, content: bytes) -> str | None:
    """Create a file, in one of several processes that do so at the same moment.

    Where a store has no conditional puts, the last of several that look at the same moment has the file, and the others
    find out SETTLE_SECS later; one whose request takes longer than that is not noticed.

    Args:
        storage: The folder or store.
        name: The file's.
        content: All of it; no other process may give the same.

    Returns:
        None where the file system or store guarantees that nobody else succeeded; else why it does not.

    Raises:
        FileExistsError: There is a file of that name, or another process creates it.
        OSError: It could not be created.
    """
    if storage.is_local:
        _link(Path(storage.base, name), content)
        return None
    if storage.exists(name):  # a store that passes over the condition would overwrite it
        raise _file_exists(name)
    try:
        _put_twice(_conditional_put(storage, name, content))
    except FileExistsError:
        if not _is_there(storage, name, content):  # else the answer to the first of several attempts was lost
            raise
    except NoConditionalPutError as error:
        _put_and_look_again(storage, name, content)
        return str(error)
    return None


def _link(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unlinked = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with unlinked.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(unlinked, path)
        except FileExistsError:
            if not unlinked.samefile(path):  # else the answer of a server to the first attempt was lost
                raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with path.open("xb") as stream:
                stream.write(content)
    finally:
        with suppress(OSError):
            unlinked.unlink()


def _put_twice(put: Callable[[], None]) -> None:
    """Put, and see whether a second put is refused: some stores pass over the condition."""
    put()
    try:
        put()
    except FileExistsError:
        return
    raise NoConditionalPutError("it overwrites a file that was to be created only if absent")


def _put_and_look_again(storage: Storage, name: str, content: bytes) -> None:
    storage.put(name, content)
    time.sleep(SETTLE_SECS)  # another may have looked before this one put, and overwrite it now
    if not _is_there(storage, name, content):
        raise _file_exists(name)


def _is_there(storage: Storage, name: str, content: bytes) -> bool:
    try:
        return bytes(storage.read(name)) == content
    except FileNotFoundError:
        return False


def _conditional_put(storage: Storage, name: str, content: bytes) -> Callable[[], None]:
    handler = getattr(storage.files, "handler", None)
    if isinstance(handler, pafs.FSSpecHandler):
        return partial(handler.fs.pipe_file, f"{storage.base.rstrip('/')}/{name}", content, mode="create")
    from obstore.exceptions import BaseError

    try:
        store = _object_store(storage)
    except (BaseError, ValueError, OSError) as error:
        raise _no_condition(error) from error
    return partial(_put_object, store, name, content)


def _put_object(store: Any, name: str, content: bytes) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        obstore.put(store, name, content, mode="create")
    except AlreadyExistsError:
        raise _file_exists(name) from None
    except (BaseError, OSError) as error:
        raise _no_condition(error) from error


def _object_store(storage: Storage) -> Any:
    """The storage as obstore knows it, with the credentials that pyarrow would find."""
    from obstore.store import S3Store, from_url

    limits: dict[str, Any] = {
        "client_options": {"allow_http": True, "timeout": REQUEST_SECS},
        "retry_config": {"max_retries": 2, "retry_timeout": REQUEST_SECS},
    }
    parts = urlsplit(storage.root)
    if not isinstance(storage.files, pafs.S3FileSystem):
        if parts.query or "@" in parts.netloc.removeprefix("abfs"):
            raise ValueError(
                f"conditional puts to {parts.scheme}:// with settings in the URI are not known of"
            )
        return from_url(unquote(storage.root), **limits)
    bucket, _, prefix = storage.base.partition("/")
    settings: dict[str, Any] = {"region": storage.files.region} if storage.files.region else {}
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if endpoint := query.get("endpoint_override"):
        settings["endpoint"] = f"{query.get('scheme', 'https')}://{endpoint}"
    return S3Store(
        bucket, prefix=prefix or None, credential_provider=_aws_credentials(), **settings, **limits
    )


def _aws_credentials() -> Any:
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider()


def _file_exists(name: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _no_condition(error: Exception) -> NoConditionalPutError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return NoConditionalPutError(mask_secrets(lines[0]))
