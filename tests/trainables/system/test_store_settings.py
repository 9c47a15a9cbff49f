"""Workers know where the driver's object stores are, keep what their node says, and are told no secrets."""

from __future__ import annotations

import os

import pytest

from toprung.trainables.system.store_settings import SETTINGS, adopt_store_settings, store_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (name for group in SETTINGS for name in group):
        monkeypatch.setenv(name, "")  # so that the variable is put back, whoever sets it
        monkeypatch.delenv(name)


def test_where_a_store_is_and_its_region_are_told_and_credentials_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:9000")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://user:secret@store")
    told = store_settings()
    assert told == {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_DEFAULT_REGION": "eu-central-1"}


def test_a_node_that_says_nothing_takes_over_what_the_driver_says() -> None:
    adopt_store_settings({"AWS_ENDPOINT_URL": "http://store:9000", "PATH": "elsewhere"})
    assert os.environ["AWS_ENDPOINT_URL"] == "http://store:9000" and os.environ["PATH"] != "elsewhere"


def test_a_node_keeps_what_it_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://here:9000")
    adopt_store_settings({"AWS_ENDPOINT_URL_S3": "http://store:9000", "AWS_REGION": "eu-central-1"})
    assert "AWS_ENDPOINT_URL_S3" not in os.environ and os.environ["AWS_REGION"] == "eu-central-1"
