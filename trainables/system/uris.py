"""Names of places: local paths and URIs (s3://, gs://, file://, ...), how names are joined to them, secrets in them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import LiteralString
from urllib.parse import quote, unquote

from toprung.spaces.errors import InputError

STORAGE_CREDENTIALS = (
    "must hold no password or key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or what the store reads "
    "instead), or keep them in its credentials file"
)

MAX_NAME_BYTES, MAX_PATH_CHARS = 255, 4000

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URI_IN_TEXT = re.compile(_SCHEME.pattern + r"\S+")
# `user:password@` behind the `://`; a number before a slash is a port. Keys of some stores hold slashes themselves.
_PASSWORD = re.compile(r"(?<=://)[^\s/?#@]*:(?!\d+/)[^\s?#]*@")
_SECRET_VALUE = re.compile(
    r"(?P<key>[?&][^=&\s]*(?:secret|passw|pwd|token|credential|signature|access_?key|account_?key|api_?key)[^=&\s]*"
    r"|[?&](?:sig|key))=[^&\s]*?(?=['\"]?(?:[&\s]|$))",  # not the quote behind a URI in a message
    re.IGNORECASE,
)


def is_uri(root: str) -> bool:
    """Whether the text is a URI; anything else is a local path."""
    return _SCHEME.match(root) is not None


def absolute(root: str) -> str:
    """A local path from the file system's root, `~` expanded; a URI as it is."""
    return root if is_uri(root) else str(Path(root).expanduser().absolute())


def is_storable(text: str) -> bool:
    """Whether files and their names can hold the text: no NUL, and no half of a pair of UTF-16."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def broken_path_rule(path: str) -> LiteralString | None:
    """The rule that keeps a path or URI from naming a file, whatever is there; None where it may name one."""
    if "\0" in path:
        return "must hold no NUL"
    # os.fsencode takes a name's byte that is no UTF-8, and Arrow's file systems do not.
    if not is_storable(path):
        return "must be a text that UTF-8 holds"
    if is_uri(path) and not path.partition("://")[2].partition("?")[0].strip("/"):
        return "must name a bucket or folder behind its ://"
    try:
        local = path if is_uri(path) else str(Path(path).expanduser())
        names = os.fsencode(local).split(b"/")
    except RuntimeError:
        return "must begin with the home folder of a user that is known here, or be another path"
    except UnicodeEncodeError:  # the file system's encoding may be narrower
        return "must be a text that the file system's encoding holds"
    if any(len(name) > MAX_NAME_BYTES for name in names) or len(local) > MAX_PATH_CHARS:
        return "must be shorter: a name in a path has at most 255 bytes, and a path 4,000 characters"
    return None


def join(root: str, *names: str) -> str:
    """The path or URI of a name below a root; in a URI it stands before the `?` and is percent-encoded."""
    if not is_uri(root):
        return "/".join([root.rstrip("/"), *names])
    path, mark, query = root.partition("?")
    return "/".join([path.rstrip("/"), *map(quote, names)]) + mark + query


def without_trailing_slash(root: str) -> str:
    """The same place without slashes at the end of its path."""
    if not is_uri(root):
        return root.rstrip("/") or root
    path, mark, query = root.partition("?")
    return path.rstrip("/") + mark + query


def last_name(root: str) -> str:
    """The last name of a path or URI, decoded."""
    if not is_uri(root):
        return root.rstrip("/").rpartition("/")[2]
    return unquote(root.partition("?")[0].rstrip("/").rpartition("/")[2])


def mask_secrets(text: str) -> str:
    """The text with the passwords and keys of all URIs in it replaced by `***`, for messages."""
    return _URI_IN_TEXT.sub(lambda found: _masked(found.group()), text)


def has_secrets(uri: str) -> bool:
    """Whether a URI holds a password (`user:password@`) or a key such as `?secret_key=...`."""
    return is_uri(uri) and _masked(uri) != uri


def refuse_secrets(uri: str, where: str) -> None:
    """Raise InputError at `where` for a URI with secrets in it: it would be printed, and stored beside the run."""
    if has_secrets(uri):
        raise InputError.single(where, mask_secrets(uri), STORAGE_CREDENTIALS)


def _masked(uri: str) -> str:
    return _SECRET_VALUE.sub(r"\g<key>=***", _PASSWORD.sub("***@", uri))
