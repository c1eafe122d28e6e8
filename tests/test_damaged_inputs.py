"""Five hundred damaged input files: one line that names the file and the place, exit status not 0, nothing written."""

import os
import random
import subprocess
import sysconfig
import traceback
from pathlib import Path

import damaged_inputs
import pytest

for _needed in ("rich", "pyarrow", "sklearn", "PIL"):
    pytest.importorskip(_needed)
testing = pytest.importorskip("click.testing")
from fastopt.cli import main

FAMILIES = damaged_inputs.FAMILIES
CASES = [(FAMILIES[i % len(FAMILIES)], i) for i in range(500)]
INSTALLED = Path(sysconfig.get_path("scripts")) / "fastopt"
LEARNING = ("train", "search")  # the commands that need labels


@pytest.fixture(autouse=True)
def temporary_files_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path.parent))


def arguments(case, folder, command, out):
    """The command line; `search` has few of the options of `train`."""
    place = "-" if case.stdin is not None else str(folder / case.name)
    short = ["--epochs", "1"] if command == "train" else ["--lr", "0.1", "--l2", "0", "--epochs", "1"]
    return [command, place, *case.options, *short, "--out", str(out)]


def in_this_process(command_line, stdin):
    done = testing.CliRunner().invoke(main, command_line, input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        traceback.print_exception(done.exception)
        pytest.fail(f"a traceback: {done.exception!r}")
    return done.exit_code, done.output


def by_the_installed_command(command_line, stdin):
    done = subprocess.run([INSTALLED, *command_line], input=stdin or b"", capture_output=True, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def tried(family, seed, folder, command, run=in_this_process):
    case = family(random.Random(seed), folder)
    before, out = set(os.listdir(folder)), folder / "model.npz"
    status, text = run(arguments(case, folder, command, out), case.stdin)
    assert status in (1, 2), text
    last = text.strip().splitlines()[-1]
    assert last.startswith("Error: ") and len(last) < 600, text
    assert "Traceback" not in text and "FASTOPT_TRACEBACK" not in text, text
    for piece in (*case.says, case.blames or case.name):
        assert piece in last, f"{piece!r} is not said: {text}"
    assert set(os.listdir(folder)) == before, "something was written"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_each_kind_of_damage(family, tmp_path):
    tried(family, 12345, tmp_path, "train")


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_five_hundred(part, tmp_path):
    for family, seed in CASES[part::10]:
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        tried(family, seed, folder, LEARNING[seed // len(FAMILIES) % 2])


@pytest.mark.skipif(not INSTALLED.exists(), reason="the command fastopt is not installed")
@pytest.mark.parametrize("family", FAMILIES[::12], ids=lambda f: f.__name__)
def test_by_the_installed_command(family, tmp_path):
    tried(family, 777, tmp_path, "train", by_the_installed_command)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the columns that the families' sound files have."""
    folder = tmp_path_factory.mktemp("model")
    r = random.Random(1)
    (folder / "sound.csv").write_bytes(damaged_inputs.text(damaged_inputs.rows(r)))
    status, text = in_this_process(["train", str(folder / "sound.csv"), "--out", str(folder / "m.npz")], None)
    assert status == 0, text
    return folder / "m.npz"


CANNOT_BE_PREDICTED = [
    f for f in FAMILIES
    if f.__name__ not in ("header_short", "only_labels", "names_of_rows", "nested", "instants", "other_delimiter", "option_of_another_kind")
]  # fmt: skip


@pytest.mark.parametrize("family", CANNOT_BE_PREDICTED[::2], ids=lambda f: f.__name__)
@pytest.mark.parametrize("command", ["predict", "eval"])
def test_predictions_are_whole_or_none(command, family, model, tmp_path):
    """No damaged file leaves a part of the predictions behind; labels may be wrong, since they are not used."""
    case = family(random.Random(99), tmp_path)
    before, out = set(os.listdir(tmp_path)), tmp_path / "p.csv"
    place = "-" if case.stdin is not None else str(tmp_path / case.name)
    options = [o for o in case.options if o not in ("--target", "--drop", "colr")]
    command_line = [
        command,
        str(model),
        place,
        *options,
        *(["--out", str(out)] if command == "predict" else []),
    ]
    status, text = in_this_process(command_line, case.stdin)
    assert "Traceback" not in text and "FASTOPT_TRACEBACK" not in text, text
    if case.labels and status == 0:
        return
    assert status in (1, 2) and text.strip().splitlines()[-1].startswith("Error: "), text
    assert (case.blames or case.name) in text.strip().splitlines()[-1], text
    assert set(os.listdir(tmp_path)) == before, "something was written"


@pytest.mark.parametrize(
    ("line", "says"),
    [("no-standardize = true", "standardize = false"), ("epochs = true", "needs a value"), ("lr = [1, 2]", "not a list"),
     ("epochs = 1.5", "--epochs"), ("delimiter = 'ab'", "one character"), ("delimiter = ''", "one character"),
     ("checkpoint = ''", "file's name"), ("early-stopping = 3", "--validation 0.1"), ("lr = {a = 1}", "table"),
     ("rul = 'adam'", "no option 'rul'"), ("rule = adam", "no TOML")],
)  # fmt: skip
def test_settings_that_say_something_odd(line, says, tmp_path):
    (tmp_path / "run.toml").write_text(line + "\n")
    (tmp_path / "sound.csv").write_bytes(damaged_inputs.text(damaged_inputs.rows(random.Random(1))))
    command_line = ["train", str(tmp_path / "sound.csv"), "--settings", str(tmp_path / "run.toml")]
    status, text = in_this_process(command_line, None)
    assert status == 2 and says in text.strip().splitlines()[-1], text


def test_labels_that_are_no_class_of_the_model(model, tmp_path):
    table = damaged_inputs.rows(random.Random(2))
    for cells in table:
        cells[3] = "z"
    (tmp_path / "other.csv").write_bytes(damaged_inputs.text(table))
    status, text = in_this_process(["eval", str(model), str(tmp_path / "other.csv")], None)
    assert status == 1 and "no label is one of the model's classes, x, y" in text, text


@pytest.mark.parametrize("pack", damaged_inputs.PACKS)
@pytest.mark.parametrize("command", ["predict", "eval"])
def test_packed_rows_cut_off_while_they_are_predicted(command, pack, tmp_path):
    """The file's damage is met when some of its rows have been read: it is the file that is blamed."""
    data = damaged_inputs.svm_text(random.Random(3), 3000)
    (tmp_path / "sound.svm").write_bytes(data)
    status, text = in_this_process(
        ["train", str(tmp_path / "sound.svm"), "--epochs", "1", "--out", str(tmp_path / "m.npz")], None
    )
    assert status == 0, text
    packed = damaged_inputs.PACKS[pack](data)
    (tmp_path / f"cut.svm{pack}").write_bytes(packed[: len(packed) // 2] + b":" * (pack == ""))
    status, text = in_this_process([command, str(tmp_path / "m.npz"), str(tmp_path / f"cut.svm{pack}")], None)
    assert status == 1 and f"cut.svm{pack}" in text.strip().splitlines()[-1], text
    assert "FASTOPT_TRACEBACK" not in text and "cannot be written" not in text, text


@pytest.mark.parametrize("content", [b"", b"text\n", b"\xff\xfe\x00", b'{"run": {}}\n'])
def test_a_report_of_no_run(content, tmp_path):
    (tmp_path / "run.jsonl").write_bytes(content)
    status, text = in_this_process(
        ["report", str(tmp_path / "run.jsonl"), "-o", str(tmp_path / "r.html")], None
    )
    assert status == 1 and "run.jsonl is no log of a run" in text and not (tmp_path / "r.html").exists(), text
