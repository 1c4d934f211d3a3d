"""`mysense provision` in this process, with an administrator from the environment."""

from __future__ import annotations

import json

from mysense.cli import main

SECRETS = ("PROVISION_USER", "PROVISION_PASSWORD", "PROVISION_TOKEN", "CREDENTIALS_DIRECTORY")


class Ran:
    """What a run said: exit code, the object of --json, and all that stderr got."""

    def __init__(self, code, out, err):
        self.code = code
        self.err = err
        self.told = json.loads(out) if out else {}

    @property
    def states(self):
        """What was done, without what it was done to."""
        return {step["state"] for step in self.told["steps"]}

    def secret(self, of, kind="password"):
        """A secret that was shown."""
        return next(s["value"] for s in self.told["secrets"] if (s["of"], s["kind"]) == (of, kind))


def commander(folder, monkeypatch, capsys):
    """`command(conf, *words, **env)` runs it over a configuration of these lines."""
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)

    def command(conf, *words, **env):
        path = folder / "MySense.conf"
        path.write_text("\n".join(["[influxpub]", *conf]))
        path.chmod(0o600)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()  # what a run left that was broken on purpose
        code = main(["provision", "-c", str(path), "--json", *map(str, words)])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return command
