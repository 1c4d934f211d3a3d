"""Places to compare for tests: a journal, a store and a real server with the same kit."""

from __future__ import annotations

from contextlib import closing, contextmanager
from types import MappingProxyType

from channels.MyINFLUXPUB import InfluxPub
from mysense.cli import main
from mysense.journal import Journal
from mysense.store import Writer
from mysense.telegram import Ident, Telegram

T0 = 1_494_777_600  # 2017-05-14 16:00:00 UTC
HOUR = 3600
DAY = 86_400


class Places:
    """A journal and a store in a folder, and the databases of one project on a server."""

    def __init__(self, folder, server, project):
        self.server, self.project = server, project
        self.kit = f"{project}_k"
        self.journal = folder / "state/mysense/journal.db"
        self.store = folder / "state/mysense/store.db"
        self.options = []
        for section in ("influxpub", "influxsub"):
            for pair in (f"hostname={server.host}", f"port={server.port}"):
                self.options += ["-o", f"{section}.{pair}"]
        self.options += ["-o", f"influxsub.projects={project}"]

    def telegrams(self, count=48, start=T0, step=HOUR // 4, label="lab", **given):
        """`count` telegrams of the kit; the first one's ident is new."""
        ident = Ident(project=self.project, serial="k", label=label, **given)
        return [
            Telegram(
                ident,
                MappingProxyType({"time": start + at * step, "temp": at / 4, "rh": 50.0}),
                at == 0,
            )
            for at in range(count)
        ]

    def into_server(self, telegrams, **settings):
        options = {"hostname": self.server.host, "port": self.server.port} | settings
        with closing(InfluxPub(InfluxPub.Settings(**options))) as output:
            output.open(None)
            output.publish(telegrams)

    def into_journal(self, telegrams, *outputs):
        """Put telegrams into the journal; `outputs` are such as have acknowledged everything."""
        journal = Journal(self.journal)
        journal.append(telegrams)
        for output in outputs:
            journal.register(output)
        with journal.transaction() as db:
            db.execute("UPDATE outputs SET cursor = (SELECT max(seq) FROM telegrams)")
        journal.close()

    def into_store(self, telegrams):
        writer = Writer(self.store)
        writer.write(telegrams)
        writer.close()

    def change(self, query, *values):
        """Change the journal behind everybody's back."""
        journal = Journal(self.journal)
        with journal.transaction() as db:
            db.execute(query, values)
        journal.close()

    def delete(self, low, high):
        """Let the server lose rows."""
        query = f"DELETE FROM data WHERE time >= {low}s AND time < {high}s"
        self.server.query(query, database=self.kit)

    def write(self, *lines, kit=None):
        status, text = self.server.write(kit or self.kit, "\n".join(lines))
        assert status == 204, text

    def rows(self):
        return self.server.rows("SELECT * FROM data", database=self.kit)

    def drop(self):
        for name in self.server.databases():
            if name.startswith(self.project):
                self.server.query(f'DROP DATABASE "{name}"')


@contextmanager
def places_in(folder, server, project, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("HOME", str(folder))
    made = Places(folder, server, project)
    try:
        yield made
    finally:
        made.drop()


class Verb:
    """Runs verbs in this process; `out` and `err` are what the last one has printed."""

    def __init__(self, places, capsys):
        self._places, self._capsys = places, capsys
        self.out = self.err = ""

    def __call__(self, verb, *words):
        """The exit code of `mysense verb words...`; options among these win over the places'."""
        self._capsys.readouterr()
        code = main([verb, *self._places.options, *map(str, words)])
        self.out, self.err = self._capsys.readouterr()
        return code
