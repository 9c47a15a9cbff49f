"""Names are joined where a path ends, and secrets are neither shown nor taken for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from toprung.trainables.system.uris import (
    absolute,
    broken_path_rule,
    has_secrets,
    join,
    last_name,
    mask_secrets,
    without_trailing_slash,
)

STORE = "endpoint_override=127.0.0.1:9000&scheme=http"


@pytest.mark.parametrize(
    ("root", "joined"),
    [
        ("runs", "runs/a/b c"),
        ("/runs/", "/runs/a/b c"),
        ("/", "/a/b c"),
        ("/what?/100%", "/what?/100%/a/b c"),
        ("s3://bucket", "s3://bucket/a/b%20c"),
        ("s3://bucket/p/", "s3://bucket/p/a/b%20c"),
        (f"s3://bucket/p?{STORE}", f"s3://bucket/p/a/b%20c?{STORE}"),
        (f"s3://bucket/p/?{STORE}", f"s3://bucket/p/a/b%20c?{STORE}"),
    ],
)
def test_names_stand_behind_the_path_and_before_the_query(root: str, joined: str) -> None:
    assert join(root, "a", "b c") == join(join(root, "a"), "b c") == joined
    assert last_name(joined) == "b c"


@pytest.mark.parametrize(
    ("root", "plain"),
    [("runs/a/", "runs/a"), ("/", "/"), ("/a?/", "/a?"), (f"s3://b/a/?{STORE}", f"s3://b/a?{STORE}")],
)
def test_a_slash_that_a_shell_added_is_dropped(root: str, plain: str) -> None:
    assert without_trailing_slash(root) == without_trailing_slash(plain) == plain


def test_a_local_path_is_made_absolute_and_a_uri_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("a?b") == f"{tmp_path}/a?b"
    assert absolute("~/runs") == "/home/me/runs"
    assert absolute("s3://bucket/~") == "s3://bucket/~"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://AKIA:se/cr+et@bucket/run", "s3://***@bucket/run"),
        ("s3://AKIA:secret@bucket", "s3://***@bucket"),
        ("http://me:p@ss@host:5000/", "http://***@host:5000/"),
        ("postgresql+psycopg2://me:pw@host:5432/db", "postgresql+psycopg2://***@host:5432/db"),
        (f"s3://b/run?{STORE}&Secret_Key=x", f"s3://b/run?{STORE}&Secret_Key=***"),
        (
            "s3://b/run?access_key=x&session_token=y&region=z",
            "s3://b/run?access_key=***&session_token=***&region=z",
        ),
        ("https://host/blob?sv=1&sig=abc%2F", "https://host/blob?sv=1&sig=***"),
    ],
)
def test_what_opens_a_store_is_masked_wherever_it_stands(uri: str, shown: str) -> None:
    assert has_secrets(uri)
    assert mask_secrets(uri) == shown
    assert mask_secrets(f"cannot parse {uri} at 3; see {uri}") == f"cannot parse {shown} at 3; see {shown}"


@pytest.mark.parametrize(
    "text",
    [
        f"s3://bucket/run?{STORE}&region=eu",
        "hdfs://name-node:8020/user@home/run",
        "hdfs://me@name-node:8020/run",
        "s3://bucket/a:b/c",
        "/home/me/a:b@c?token=d",
        "key: value@home",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert mask_secrets(text) == text and not has_secrets(text)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("runs/caf\udce9", "UTF-8"),  # what the shell's argument caf\xe9 becomes
        ("s3://bucket/\ud800", "UTF-8"),
        ("runs/a\0b", "NUL"),
        ("~nobody_at_all/runs", "home folder"),
        ("s3://", "behind its ://"),  # without a name it is a local folder `s3:`
        ("gs:///?scheme=http", "behind its ://"),
        ("n" * 256, "255 bytes"),
        ("\u00e9" * 128, "255 bytes"),
        ("n/" * 2001, "4,000 characters"),
    ],
)
def test_a_path_that_no_file_system_takes_is_told_by_the_rule_it_breaks(path: str, rule: str) -> None:
    broken = broken_path_rule(path)
    assert broken is not None and rule in broken


def test_other_paths_break_no_rule() -> None:
    assert [broken_path_rule(path) for path in ("runs/caf\u00e9", "s3://bucket/runs", "n" * 255)] == [
        None
    ] * 3
