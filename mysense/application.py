"""From MySense.conf to plugins ready to run; all faults of the settings are found together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from mysense.errors import PluginError, TelegramError
from mysense.identity import machine_serial
from mysense.loader import Loader, home
from mysense.metrics import not_address
from mysense.options import option
from mysense.paths import state_folder
from mysense.plugin import Plugin, Publisher, Sensor, Subscriber
from mysense.provision.settings import ProvisionSettings
from mysense.settings import Fault, SettingsError, Source, closest, is_section
from mysense.telegram import Ident, short
from mysense.trust import Mode

CORE = ("process", "id", "journal", "provision")


@attrs.frozen(kw_only=True)
class ProcessSettings:
    """Section [process]."""

    plugins: tuple[str, ...] = option((), "folders with plugins of your own, My<NAME>.py files")
    quality: bool = option(False, "sends what speaks against values as the text field quality")
    average: tuple[str, ...] = option((), "fields that are averaged where two sensors measure them")
    clock: Mode = option(
        "auto",
        "when the clock of this machine is taken for right: synchronised, when a time server was"
        " heard; auto, also where a clock module agrees and in a virtual machine; trusted, always."
        " Until then what its own sensors measure is kept, and gets its time afterwards",
    )
    metrics: str = option(
        "",
        "address at which Prometheus may ask for figures, host:port; :9100 is for this machine"
        " alone, empty is none",
        check=not_address,
    )
    log: Literal["debug", "info", "warning", "error"] = option(
        "info", "how much is told on stderr while it runs"
    )


@attrs.frozen(kw_only=True)
class IdSettings:
    """Section [id]: who this kit is. Only sensors need it; SUB channels bring idents along."""

    project: str = option("", "the project this kit belongs to, letters and digits")
    serial: str = option(
        "",
        "the kit's serial number within the project; empty: that of the processor, else the address"
        " that a network card was made with",
    )
    label: str = option("", "a short name for people")
    geolocation: str = option("", '"latitude,longitude,altitude" in degrees and metres')
    description: str = option("", "what stands there, for people")
    street: str = option("", "street and number")
    village: str = option("", "village or town")
    province: str = option("", "province or region")
    municipality: str = option("", "municipality")


@attrs.frozen(kw_only=True)
class JournalSettings:
    """Section [journal]."""

    file: Path | None = option(None, "the journal's file; empty: journal.db in the state folder")
    max_mb: float = option(500.0, "megabytes at most; delivered telegrams go first", low=1)
    keep_days: float = option(30.0, "days that delivered telegrams are kept", low=0)

    @property
    def path(self) -> Path:
        """Where the journal is."""
        return self.file or state_folder() / "journal.db"


@attrs.frozen
class Configured:
    """A section that names a plugin, with the settings it has."""

    section: str
    plugin: type[Plugin[Any]]
    settings: Any

    @property
    def on(self) -> bool:
        """Whether `input = true` or `output = true` switches it on."""
        return bool(getattr(self.settings, self.plugin.direction))

    def make(self) -> Plugin[Any]:
        """An instance; nothing is opened yet."""
        return self.plugin(self.settings, self.section)


@attrs.frozen
class Application:
    """Everything that the settings say."""

    path: Path | None
    process: ProcessSettings
    id: IdSettings
    journal: JournalSettings
    provision: ProvisionSettings
    loader: Loader
    configured: tuple[Configured, ...]
    source: Source = attrs.field(repr=False)

    @classmethod
    def load(
        cls,
        path: Path | None,
        overrides: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Application:
        """Read and check all settings.

        Args:
            path: the configuration file, or None for defaults and overrides alone.
            overrides: `section.key=value` from the command line.
            environ: the environment, when it is not this process's own.

        Raises:
            SettingsError: with every fault there is.
        """
        source = Source(path, overrides, environ)
        core = [source.structure(*pair) for pair in zip(CORE, _CORE_CLASSES, strict=True)]
        process, ident, journal, provision = core
        loader = plugin_loader(source, process or ProcessSettings())
        sections = [*source.sections, *filter(source.switched_on, loader.found)]
        configured = tuple(
            made
            for section in dict.fromkeys(sections)
            if section not in CORE and (made := _configure(source, loader, section))
        )
        if journal is not None:
            _check_memory(source, journal, configured)
        if ident is not None:
            _check_ident(source, ident, needed=_samples(configured))
        source.finish()
        return cls(path, process, ident, journal, provision, loader, configured, source)

    def section(self, name: str) -> Configured:
        """What is configured in `name`, else that plugin with its environment and defaults.

        Raises:
            PluginError: no plugin is called so.
            SettingsError: the environment has a fault.
        """
        name = name.lower()
        for configured in self.configured:
            if configured.section == name:
                return configured
        if not is_section(name):
            raise PluginError(f"{short(name)} is no section; it is a plugin, or plugin:name")
        plugin = self.loader.load(name)
        settings = self.source.structure(name, plugin.Settings)
        self.source.finish()
        return Configured(name, plugin, settings)

    def ident(self) -> Ident:
        """Who this kit is, by [id] and by the machine.

        Raises:
            SettingsError: it has no project, or no serial can be found.
        """
        given = {name: value for name, value in attrs.asdict(self.id).items() if value}
        faults = []
        where = str(self.path or "command line")
        if "project" not in given:
            faults.append(Fault(where, "id", "project", "the project this kit belongs to"))
        given.setdefault("serial", machine_serial())
        if given["serial"] is None:
            expected = "the kit's serial number: this machine has none of its own"
            faults.append(Fault(where, "id", "serial", expected))
        if faults:
            raise SettingsError(faults)
        return Ident.from_json(given)

    def output(self, name: str) -> Publisher[Any]:
        """The output of section `name`, whether it is switched on or not.

        Raises:
            PluginError: there is none, or it is an input.
        """
        made = self.section(name).make()
        if not isinstance(made, Publisher):
            raise PluginError(f"{name} is an input; `mysense plugins` lists the outputs")
        return made

    def subscriber(self, name: str) -> Subscriber[Any]:
        """The SUB input of section `name`, whether it is switched on or not."""
        made = self.section(name).make()
        if not isinstance(made, Subscriber):
            raise PluginError(f"{name} is no SUB input; `mysense plugins` lists them")
        return made

    def outputs(self) -> list[Publisher[Any]]:
        """The outputs that are switched on."""
        return [self.output(c.section) for c in self._on(Publisher)]

    def subscribers(self) -> list[Subscriber[Any]]:
        """The SUB inputs that are switched on."""
        return [self.subscriber(c.section) for c in self._on(Subscriber)]

    @property
    def samples(self) -> bool:
        """Whether this kit measures."""
        return _samples(self.configured)

    def _on(self, of: type[Plugin[Any]]) -> list[Configured]:
        return [c for c in self.configured if c.on and issubclass(c.plugin, of)]


_CORE_CLASSES = (ProcessSettings, IdSettings, JournalSettings, ProvisionSettings)


def default_path() -> Path:
    """The configuration that is used when none is named."""
    places = [
        Path("MySense.conf"),
        Path.home() / ".config" / "mysense" / "MySense.conf",
        Path("/etc/mysense/MySense.conf"),
    ]
    return next((path for path in places if path.is_file()), home() / "MySense.conf")


def core_settings(source: Source) -> tuple[ProcessSettings, JournalSettings]:
    """The sections [process] and [journal] alone: enough for verbs that use no plugin.

    Raises:
        SettingsError: these have faults, or the file does not read as settings at all.
    """
    process = source.structure("process", ProcessSettings)
    journal = source.structure("journal", JournalSettings)
    source.finish()
    return process, journal


def plugin_loader(source: Source, process: ProcessSettings) -> Loader:
    """The loader with the user's own folders; its problems become faults of [process] plugins."""
    loader = Loader(Path(folder).expanduser() for folder in process.plugins)
    for problem in loader.problems:
        source.fault("process", "plugins", "folders with plugins of different names", problem)
    return loader


def _configure(source: Source, loader: Loader, section: str) -> Configured | None:
    name = section.partition(":")[0]
    if name not in loader.found:
        known = closest(name, [*loader.found, *CORE])
        source.fault(section, "", "a section that names a plugin", repr(section), known)
        return None
    try:
        plugin = loader.load(name)
    except PluginError as wrong:
        if str(wrong) not in loader.problems:
            source.fault(section, "", "a plugin that loads", str(wrong))
        return None
    settings = source.structure(section, plugin.Settings)
    return settings and Configured(section, plugin, settings)


def _samples(configured: Iterable[Configured]) -> bool:
    """Whether this kit measures: a sensor is on, and no SUB channel that switches it off."""
    on = [c.plugin for c in configured if c.on]
    return any(issubclass(of, Sensor) for of in on) and not any(
        issubclass(of, Subscriber) for of in on
    )


def _check_memory(
    source: Source, journal: JournalSettings, configured: Iterable[Configured]
) -> None:
    """What an input reads again the journal must still know, or it goes out a second time."""
    for one in configured:
        if not (one.on and issubclass(one.plugin, Subscriber)) or one.settings.looks_back is None:
            continue
        key, days = one.settings.looks_back
        if days >= journal.keep_days:
            expected = f"less than [journal] keep_days, which is {journal.keep_days:g}"
            hint = f"raise keep_days or lower {key}: the journal tells what was read before"
            source.fault(one.section, key, expected, f"{days:g}", hint)


def _check_ident(source: Source, settings: IdSettings, *, needed: bool) -> None:
    for key, value in attrs.asdict(settings).items():
        own = key == "serial" and machine_serial() is not None
        if not value and needed and key in _NAMES and not own:
            source.fault("id", key, "a name", "nothing", "sensors need to know whose they are")
        try:
            Ident.from_json({**_NAMES, key: value or _NAMES.get(key)})
        except TelegramError as wrong:
            why = str(wrong).partition(": ")[2]
            source.fault("id", key, "an acceptable text", short(value), why)


_NAMES = {"project": "p", "serial": "s"}  # what every ident has
