"""Whatever a job file, `--set` or RUN/job.yaml holds: lines that can be read, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from job_fuzzer import check_without_images, outcomes

from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.runs.allowed_changes import check_retrain_overrides
from toprung.spaces.errors import InputError, Problem, shown
from toprung.spaces.families.registry import load_space

HEAD = "name: f\ndata: digits\n"
SHIPPED = [path.read_text() for path in (Path(__file__).parents[3] / "search" / "jobs").glob("*.yaml")]
LAUGHS = "\n".join(
    f"    a{level}: &a{level} [{','.join([f'*a{level - 1}' if level else 'lol'] * 9)}]" for level in range(9)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 2024-13-45", "job.yaml:3:7: no timestamp (month must be in 1..12)"),
        ("seed: 0x_", "job.yaml:3:7: no int"),
        ("seed: " + "9" * 5000, "job.yaml:3:7: no int (Exceeds the limit"),
        ("seed: 1" + "0" * 400, "a whole number of 1,329 bits, and 64 is the most"),
        ("seed: !!int abc", "no int (invalid literal"),
        ("search: !!map [1]", "a mapping was expected"),
        ("space: {ranges: &a {filters: *a}}", "a value holds itself"),
        (f"space:\n  ranges:\n{LAUGHS}", "holds more than 20,000 values"),
        ("space: " + "[" * 3000, "values are nested too deeply"),
        ("space: {ranges: " + "{a: [" * 60 + "1" + "]}" * 60 + "}", "values are nested too deeply"),
        ("search: {initial_configs: [" + "{}, " * 30_000 + "]}", "holds more than 20,000 values"),
        ('storage: {path: "runs/a\\0b"}', "job.yaml: storage.path: 'runs/a\\x00b' given; must be a text that UTF-8"),
        ('storage: {path: "\\uD800"}', "storage.path: '\\ud800' given; must be a text that UTF-8 holds"),
        ("storage: {path: runs/" + "x" * 300 + "}", "must be shorter: a name in a path has at most 255 bytes"),
        ("storage: {path: ~nobody_at_all/runs}", "the home folder of a user that is known here"),
        ("space: {name: ~nobody_at_all/a.py:Mine}", "the home folder of a user that is known here"),
        ("seed: 1\nseed: 2", "the key 'seed' is given twice"),
        ("? [a, b]\n: 1", "a key must be a text"),
    ],
)  # fmt: skip
def test_a_malformed_job_is_one_short_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"{HEAD}{text}\n")
    assert main(["check", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line and len(line) < 1000


@pytest.mark.parametrize(
    "text", ["[" * 3000, "[{" * 1500, "- a\n" * 60_000, "a: 1\n" * 60_000, "? a\n" * 60_000, "{a: [" * 1000]
)
def test_a_text_that_no_job_can_be_is_given_up_after_few_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    tokens = []
    fetch = yaml.SafeLoader.fetch_more_tokens
    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", lambda self: (tokens.append(1), fetch(self))[1])
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(InputError, match=r"nested too deeply|holds more than"):
        Job.from_file(tmp_path / "job.yaml")
    assert len(tokens) < 100_000


def test_merge_keys_are_merged_and_their_templates_left_out(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("data: digits\nx: &a {trials: 2, max_epochs: 5}\nsearch:\n  <<: *a\n  max_epochs: 4\n")
    job = Job.from_file(file)
    assert (job.search.trials, job.search.max_epochs) == (2, 4)
    file.write_text("data: digits\nx: {trials: 2}\n")
    with pytest.raises(InputError, match="x: unknown key"):
        Job.from_file(file)


def test_mutants_of_the_shipped_jobs_are_told_or_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = list(outcomes(tmp_path, SHIPPED, 90, seed=1))
    assert [one for one in found if one[1] not in ("told", "valid")] == []


def test_a_job_in_a_run_folder_is_read_as_carefully(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text(f"{HEAD}seed: 0x_\n")
    for command in ("status", "table", "retrain"):
        assert main([command, str(tmp_path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "job.yaml:3:7: no int" in line


def test_values_are_cut_where_they_are_shown() -> None:
    assert shown(10**5000) == "a int that cannot be shown (ValueError)"
    assert len(shown(["x" * 10_000] * 10_000)) <= 300
    line = str(Problem("a" * 5000, "b\x1b[31m\nc" * 5000, "must be short"))
    assert len(line) < 1000 and line.isprintable()


def test_a_job_made_in_python_is_bounded_as_a_file_is() -> None:
    for fixed in ({"filters": 10**400}, {"filters": "a\0"}):
        with pytest.raises(InputError, match=r"space\.fixed"):
            Job(name="a", data="digits", space={"fixed": fixed})


def test_a_parameter_of_another_space_is_told_with_that_space() -> None:
    with pytest.raises(InputError) as caught:
        load_space("cnn", {"backbone": "MobileNetV2", "learning_rat": 0.1}, {"alhpa": [0.5, 1.0]})
    lines = str(caught.value).splitlines()
    assert "space.fixed.backbone: the space has no such parameter; the space transfer has it" in lines
    assert 'did you mean "learning_rate"?' in lines[1]
    assert 'did you mean "alpha" of the space transfer?' in lines[2]


def test_a_retraining_changes_what_it_may() -> None:
    check_retrain_overrides(
        ["retrain.epochs=3", "resources.gpus=1", "data.path=/elsewhere", "tracking.enabled=false"]
    )
    with pytest.raises(InputError) as caught:
        check_retrain_overrides(["space.name=transfer", "search.metric=val_loss", "retrain.epochs=2"])
    assert [problem.where for problem in caught.value.problems] == ["--set space.name", "--set search.metric"]
    assert "must be one of retrain, resources, tracking, data.path" in str(caught.value)


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("toprung ")


def test_a_valid_job_passes_the_checks_of_the_fuzzer(tmp_path: Path) -> None:
    check_without_images(Job(name="a", data="digits", storage={"path": str(tmp_path)}))
