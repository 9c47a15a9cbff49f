"""What the environment says of object stores beside credentials: where a store is, and in which region.

Workers take it over from the driver where their node says nothing, so that one bare `s3://bucket/runs` means the same
store on all nodes. Credentials are never sent: each node has its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from toprung.trainables.system.uris import has_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = (
    ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    ("AWS_REGION", "AWS_DEFAULT_REGION"),
    ("AZURE_STORAGE_ACCOUNT_NAME",),
    ("STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT"),
)
"""Environment variables; those of a group say the same thing."""


def store_settings() -> dict[str, str]:
    """The settings of this process, by variable; a URL with a password in it is left out."""
    found = {name: os.environ[name] for group in SETTINGS for name in group if os.environ.get(name)}
    return {name: value for name, value in found.items() if not has_secrets(value)}


def adopt_store_settings(settings: Mapping[str, str]) -> None:
    """Set the variables of each group of which this process has none; call before a store is opened."""
    for group in SETTINGS:
        if not any(os.environ.get(name) for name in group):
            os.environ.update({name: settings[name] for name in group if name in settings})
