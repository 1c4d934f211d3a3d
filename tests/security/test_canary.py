"""A secret goes to the server it is for, and nowhere else, whatever goes wrong."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mysense.application import Application
from tests.cli.conftest import environment, run

CANARY = "kanarie-7f3a'\\\":x"
FORMS = {  # how it might be written down
    CANARY,
    CANARY.replace("\\", "\\\\"),
    "kanarie-7f3a",
    base64.b64encode(f"kit:{CANARY}".encode()).decode(),
    base64.b64encode(CANARY.encode()).decode(),
}
PLUGIN = '''
"""Fails with all it knows in its variables."""
import attrs
from mysense.options import Secret, option
from mysense.plugin import OutputSettings, Publisher


@attrs.frozen(kw_only=True)
class LeakySettings(OutputSettings):
    """Options."""

    password: Secret = option(Secret(), "password")


class Leaky(Publisher[LeakySettings]):
    """Fails."""

    Settings = LeakySettings

    def publish(self, batch):
        password = self.settings.password
        raise RuntimeError(f"{self.settings!r} {password} {vars(self)}")


PLUGIN = Leaky
'''


def given_by_variable(folder):
    return {"INFLUXPUB_PASSWORD": CANARY, "LEAKY_PASSWORD": CANARY}


def given_by_file(folder):
    file = folder / "secret"
    file.write_text(CANARY)
    file.chmod(0o600)
    return {"INFLUXPUB_PASSWORD_FILE": str(file), "LEAKY_PASSWORD_FILE": str(file)}


def given_by_service_manager(folder):
    (folder / "credentials").mkdir()
    for name in ("influxpub_password", "leaky_password"):
        (folder / "credentials" / name).write_text(CANARY)
    return {"CREDENTIALS_DIRECTORY": str(folder / "credentials")}


def configured(folder, port, more=""):
    (folder / "plugins").mkdir()
    (folder / "plugins/MyLEAKY.py").write_text(PLUGIN)
    conf = folder / "MySense.conf"
    conf.write_text(
        f"[process]\nlog = debug\nplugins = {folder}/plugins\n[id]\nproject = P\nserial = 1\n"
        f"[journal]\nfile = {folder}/journal.db\n[leaky]\noutput = true\n"
        f"[influxpub]\noutput = true\nuser = kit\nport = {port}\n{more}\n"
        "[bme280]\ninput = true\nbackend = sim\nsample = 0.2\ninterval = 1\n"
    )
    conf.chmod(0o600)
    return conf


def told(folder, *said):
    """What can be read of it: what was said, and every file but those that hold the secret."""
    kept = {"secret", "influxpub_password", "leaky_password", "MySense.conf"}
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in kept]
    return b"\n".join([*(text.encode() for text in said), *(p.read_bytes() for p in files)])


def leaks(text):
    return [form for form in FORMS if form.encode() in text]


@pytest.mark.parametrize(
    "given", [given_by_variable, given_by_file, given_by_service_manager], ids=lambda f: f.__name__
)
def test_a_secret_is_never_told(given, tmp_path, influxd_auth):
    """Not in the log at its most talkative, a traceback, the journal, status or process list."""
    configured(tmp_path, influxd_auth.port)
    env = environment(tmp_path, **given(tmp_path))
    kit = subprocess.Popen(
        [sys.executable, "-m", "mysense", "run"],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = until_both_failed(tmp_path, kit)
    finally:
        kit.send_signal(signal.SIGTERM)
        log, _ = kit.communicate(timeout=30)
    assert "authorization failed" in log
    assert "RuntimeError" in log
    assert leaks(told(tmp_path, log, *said)) == []


def until_both_failed(folder, kit):
    """What status and the process list say once both outputs have failed; each must."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and kit.poll() is None:
        time.sleep(0.3)
        if not (folder / "journal.db").exists():
            continue
        words = ["-m", "mysense", "status", "--json"]
        status = run(words, folder).stdout
        if "authorization failed" in status and "RuntimeError" in status:
            return [status, run(words[:-1], folder).stdout, command_lines()]
    raise AssertionError(f"the outputs did not fail: {kit.poll()}")


def command_lines():
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"mysense" in line for line in lines)
    return b" ".join(lines).decode(errors="replace")


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["plugins"],
        ["status"],
        ["plugin", "influxpub", "--help"],
        ["run", "--test"],
        ["replay", "one.jsonl", "--to", "influxpub", "--dry-run"],
        ["replay", "one.jsonl", "--to", "influxpub", "--timeout", "2"],
        ["run", "--frobnicate"],
        ["run", "-o", "influxpub.port=many"],
    ],
    ids=" ".join,
)
def test_no_verb_tells_it(words, tmp_path, influxd_auth):
    """Whatever they print or leave behind, with a good configuration or a wrong one."""
    configured(tmp_path, influxd_auth.port, f"password = {CANARY}")
    (tmp_path / "one.jsonl").write_text(
        '{"ident": {"project": "P", "serial": "2"}, "data": {"time": 1494777772, "temp": 1}}\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "mysense", *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout + done.stderr
    assert leaks(told(tmp_path, done.stdout, done.stderr)) == []


def test_a_secret_on_the_command_line_is_refused_unread(tmp_path):
    """Every user of the machine can see command lines."""
    configured(tmp_path, 1)
    words = ["-m", "mysense", "check", "-o", f"influxpub.password={CANARY}"]
    done = run(words, tmp_path, code=78)
    assert "[influxpub] password: expected a secret from a file or the environment" in done.stderr
    assert leaks(told(tmp_path, done.stdout, done.stderr)) == []


@pytest.mark.parametrize("how", [str, repr, "{}".format, lambda s: f"{vars(s)!r}"])
def test_settings_do_not_show_it(how, tmp_path):
    """However somebody prints them while looking for a fault."""
    conf = configured(tmp_path, 1, f"password = {CANARY}")
    settings = Application.load(conf, environ={}).section("influxpub").settings
    assert settings.password.reveal() == CANARY
    assert leaks(how(settings).encode()) == []


def test_files_of_secrets_that_others_can_read_are_told(tmp_path):
    """With what to do about it, and without what is in them."""
    configured(tmp_path, 1)
    file = tmp_path / "secret"
    file.write_text(CANARY)
    file.chmod(0o644)
    done = run(["-m", "mysense", "plugins"], tmp_path, env={})
    assert "others can read" not in done.stderr
    env = {"INFLUXPUB_PASSWORD_FILE": str(file)}
    done = run(["-m", "mysense", "check"], tmp_path, env=env, code=1)
    assert f"others can read this file and the secret in it; chmod 600 {file}" in done.stderr
    assert leaks(told(tmp_path, done.stdout, done.stderr)) == []


def test_the_state_belongs_to_its_owner(tmp_path):
    """A journal holds idents with addresses: only its owner and a group of his may read it."""
    configured(tmp_path, 1)
    os.umask(0)
    try:
        words = ["run", "--once", "--timeout", "1", "-o", "leaky.output=false"]
        run(["-m", "mysense", *words], tmp_path, code=1)
    finally:
        os.umask(0o022)
    assert (tmp_path / "journal.db").stat().st_mode & 0o777 == 0o640
