"""The command itself: verbs, help, exit codes, and pipes that end early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mysense.cli import VERBS
from tests.cli.conftest import environment, run
from tests.telegrams import telegram


def test_no_verb_is_usage(mysense):
    """Without a verb the overview is shown, and it is a usage error."""
    assert "usage: mysense VERB" in mysense(code=64).stdout


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_verb(mysense, word):
    """The overview has each verb with what it does."""
    told = mysense(word).stdout
    assert [verb for verb in VERBS if f"  {verb} " not in told] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(mysense, verb):
    """`mysense VERB --help` works for each and goes to stdout or stderr."""
    done = mysense(verb, "--help")
    assert f"usage: mysense {verb}" in done.stdout + done.stderr


def test_version(mysense):
    """The version is one line."""
    assert mysense("--version").stdout.startswith("mysense 0.")


@pytest.mark.parametrize(("verb", "guess"), [("replya", "replay"), ("stats", "status")])
def test_unknown_verb_is_usage_with_a_guess(mysense, verb, guess):
    """A misspelt verb gets the one that was meant."""
    told = mysense(verb, code=64).stderr
    assert told == f"mysense: no verb '{verb}' (did you mean {guess}?)\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["status", "--nope"], "unrecognized arguments: --nope"),
        (["status", "--jso"], "unrecognized arguments: --jso"),
        (["status", "more"], "unrecognized arguments: more"),
        (["replay"], "the following arguments are required: FILE"),
        (["dead"], "the following arguments are required: action"),
        (["dead", "lst"], "invalid choice: 'lst'"),
        (["dead", "retry", "--id", "x"], "expected a whole number above 0, found 'x'"),
        (["plugin"], "usage: mysense plugin NAME"),
        (["plugin", "jsonl", "-n", "0"], "expected a whole number above 0, found '0'"),
        (["plugin", "jsonl", "-n", "-1"], "argument -n"),
        (["status", "-o", "nonsense"], "expected SECTION.KEY=VALUE, found 'nonsense'"),
        (["status", "-o", "csv=1"], "expected SECTION.KEY=VALUE, found 'csv'"),
        (["replay", "x", "--speed", "0"], "expected a number above 0 or max, found '0'"),
        (["replay", "x", "--speed", "fast"], "expected a number above 0 or max, found 'fast'"),
        (["replay", "x", "--speed", "nan"], "expected a number above 0 or max, found 'nan'"),
        (["replay", "x", "--timeout", "-1"], "expected seconds above 0, found '-1'"),
        (["run", "--once", "--timeout", "nan"], "expected seconds above 0, found 'nan'"),
        (["replay", "x", "--timeout", "inf"], "expected seconds above 0, found 'inf'"),
    ],
)
def test_usage_error_is_said_and_exits_64(mysense, words, why):
    """What the command line gets wrong is told on stderr."""
    done = mysense(*words, code=64)
    assert why in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["status", "-c", "nope.conf"], "nope.conf: expected a readable file, found No such file"),
        (["status", "-c", "."], ".: expected a readable file, found Is a directory"),
        (["check", "-o", "csv.foldr=x"], "command line: [csv] foldr: expected a known option"),
        (["check", "-o", "cvs.folder=x"], "[cvs]: expected a section that names a plugin"),
        (["check", "-o", "console.output=maybe"], "expected true or false, found 'maybe'"),
        (["run", "-c", "/dev/null"], "no input is switched on"),
        (["plugin", "jsnl"], "mysense plugin: no plugin is called 'jsnl' (did you mean jsonl?)"),
    ],
)
def test_configuration_error_is_said_and_exits_78(mysense, words, why):
    """What the settings get wrong is told on stderr."""
    assert why in mysense(*words, code=78).stderr


def test_fault_in_the_file_has_its_line(mysense, tmp_path):
    """All faults of a file come at once."""
    (tmp_path / "my.conf").write_text("[console]\noutptu = true\n[jsonl]\nkeep = many\n")
    told = mysense("check", "-c", "my.conf", code=78).stderr.splitlines()
    assert [line.partition(":")[2][:12] for line in told[1:]] == ["2: [console]", "4: [jsonl] k"]


def test_secret_on_the_command_line_is_refused_unseen(mysense):
    """It is already too late for that secret, but it is not repeated."""
    told = mysense("check", "-o", "influxpub.password=hunter2", code=78).stderr
    assert "[influxpub] password: expected a secret from a file or the environment" in told
    assert "hunter2" not in told


def test_default_configuration_has_no_faults(mysense):
    """Everything that `check` looks at is told on stdout, one line each."""
    told = mysense("check", "-o", "sqlitesub.input=true").stdout.splitlines()
    assert told[0] == "ok   settings: no faults"


def test_check_says_how_to_fix_it(mysense, tmp_path):
    """A check that fails comes with what to do, and exits 1."""
    (tmp_path / "my.conf").write_text("[console]\noutput = false\n")
    told = mysense("check", "-c", "my.conf", code=1).stdout
    assert "FAIL engine: outputs switched on: none\n       fix: set `output = true`" in told


@pytest.mark.parametrize("verb", ["plugins", "--help"])
def test_reader_that_has_seen_enough_is_no_fault(tmp_path, verb):
    """`mysense plugins | head -1` shows a line and no traceback."""
    done = subprocess.run(
        f"{sys.executable} -m mysense {verb} | head -1",
        shell=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_closed_stdout_is_no_fault(tmp_path):
    """A service may have no stdout at all."""
    done = subprocess.run(
        f"{sys.executable} -m mysense plugins >&-",
        shell=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_full_disk_is_said(tmp_path):
    """What cannot be written is a failure in words."""
    done = subprocess.run(
        f"{sys.executable} -m mysense plugins >/dev/full",
        shell=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    told = "mysense plugins: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_data_are_utf8_in_any_locale(mysense, write):
    """JSON Lines from a machine with another locale are read everywhere."""
    path = write("one.jsonl", telegram(0, note="Müller"))
    words = ("replay", path, "--to", "jsonl", "--dry-run")
    told = mysense(*words, env={"PYTHONIOENCODING": "latin-1"}).stdout
    assert '"note":"Müller"' in told


@pytest.mark.parametrize("verb", ["status", "dead list", "plugins", "check"])
def test_start_stays_light(tmp_path, verb):
    """Verbs that use no plugin and send nothing import neither of the heavy libraries."""
    code = (
        f"import sys; sys.argv[1:] = {verb.split()!r}\n"
        "from mysense.cli import main\nmain()\n"
        "heavy = {'influxdb', 'requests', 'urllib3', 'msgpack', 'rich'}\n"
        "if sys.argv[1] in ('status', 'dead'): heavy |= {'cattrs', 'importlib.metadata'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_python_without_what_it_needs(tmp_path):
    """It is told so, and nothing is said against a configuration that is good."""
    code = (
        "import sys; sys.modules['cattrs'] = None\n"
        "from mysense.cli import main; sys.exit(main(['check', '-o', 'csv.output=true']))"
    )
    told = run(["-c", code], tmp_path, code=1).stderr
    assert "has no package cattrs; `make install`" in told
