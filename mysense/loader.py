"""Section name -> plugin: `[influxpub]` is `channels/MyINFLUXPUB.py`.

Plugins come from the project's own two folders, from folders named in `[process] plugins`, and
from installed packages (entry points `mysense.channels` and `mysense.sensors`). Two plugins of
one name are an error, never first-wins.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from mysense.errors import PluginError
from mysense.plugin import (
    InputSettings,
    OutputSettings,
    Plugin,
    Publisher,
    Sensor,
    SensorSettings,
    Subscriber,
)
from mysense.settings import closest

FOLDERS = ("channels", "sensors")
_KINDS: tuple[tuple[type[Plugin[Any]], type[Any]], ...] = (
    (Sensor, SensorSettings),
    (Publisher, OutputSettings),
    (Subscriber, InputSettings),
)


def home() -> Path:
    """The folder that holds channels, sensors and testdata.

    In a checkout that is its top level; in a wheel they are bundled inside the package, where
    PyPI's own packages `channels` and `sensors` cannot overwrite them.
    """
    package = Path(__file__).resolve().parent
    bundled = package / "bundled"
    return bundled if bundled.is_dir() else package.parent


@attrs.frozen
class Found:
    """A plugin that is available: its name, where it comes from, and how to load it."""

    name: str
    folder: str
    origin: str
    load: Callable[[], Any]


class Loader:
    """Finds plugins by name; imports one only when it is asked for.

    Args:
        folders: the user's own plugin folders.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self.problems: list[str] = []
        """Folders that are not there, and names that two plugins share."""
        self._found: dict[str, Found] = {}
        self._shared: dict[str, str] = {}  # name -> what is wrong with it
        for folder in FOLDERS:
            for path in sorted((home() / folder).glob("My*.py")):
                self._add(path, folder, _bundled(f"{folder}.{path.stem}"))
        for user_folder in folders:
            if not user_folder.is_dir():
                self.problems.append(f"{user_folder} is not a folder")
            for path in sorted(user_folder.glob("My*.py")):
                self._add(path, str(user_folder), _dropped_in(path))
        self._add_installed()

    def _add_installed(self) -> None:
        import importlib.metadata  # a fifth of the start of a verb that needs no plugin

        for folder in FOLDERS:
            for point in importlib.metadata.entry_points(group=f"mysense.{folder}"):
                origin = f"package {point.dist.name}" if point.dist else point.value
                self._keep(Found(point.name.lower(), folder, origin, point.load))

    @property
    def found(self) -> dict[str, Found]:
        """Every plugin by name."""
        return dict(self._found)

    def load(self, section: str) -> type[Plugin[Any]]:
        """The plugin class for a section, `influxpub` or `influxpub:backup`.

        Raises:
            PluginError: there is none, two share the name, or it cannot be imported.
        """
        name = section.partition(":")[0].lower()
        found = self._found.get(name)
        if found is None:
            raise PluginError(f"no plugin is called {name!r} ({closest(name, self._found)})")
        if name in self._shared:
            raise PluginError(self._shared[name])
        try:
            module = found.load()
        except (Exception, SystemExit) as wrong:  # a stranger's file may raise anything
            raise PluginError(f"{found.origin}: {type(wrong).__name__}: {wrong}") from wrong
        plugin = module if isinstance(module, type) else getattr(module, "PLUGIN", None)
        return _checked(plugin, found.origin)

    def _add(self, path: Path, folder: str, load: Callable[[], ModuleType]) -> None:
        self._keep(Found(path.stem[2:].lower(), folder, str(path), load))

    def _keep(self, found: Found) -> None:
        if (other := self._found.get(found.name)) is not None:
            self._shared[found.name] = (
                f"two plugins are called {found.name!r}: {other.origin} and {found.origin}; "
                "rename or remove one"
            )
            self.problems.append(self._shared[found.name])
        else:
            self._found[found.name] = found


def _checked(plugin: object, origin: str) -> type[Plugin[Any]]:
    kind = plugin if isinstance(plugin, type) else object
    base = next((settings for of, settings in _KINDS if issubclass(kind, of)), None)
    if base is None or not isinstance(plugin, type):
        raise PluginError(f"{origin}: PLUGIN must be a Sensor, Publisher or Subscriber class")
    settings = getattr(plugin, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, base)):
        wanted = f"a subclass of {base.__name__}"
        raise PluginError(f"{origin}: {plugin.__name__}.Settings must be {wanted}")
    try:
        attrs.resolve_types(settings)
    except (NameError, TypeError) as wrong:
        raise PluginError(f"{origin}: {settings.__name__}: {wrong}") from wrong
    return plugin


def _bundled(module: str) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        put_home_first()
        return importlib.import_module(module)

    return load


def put_home_first() -> None:
    """Make `channels` and `sensors` the project's own, whatever else is installed."""
    first = str(home())
    if sys.path[0] != first:
        sys.path.insert(0, first)
    for folder in FOLDERS:
        loaded = sys.modules.get(folder)
        if loaded is not None and Path(first, folder) not in map(Path, loaded.__path__):
            raise PluginError(
                f"another package called {folder!r} is loaded from {list(loaded.__path__)}"
            )


def _dropped_in(path: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        name = f"mysense_dropped_in.{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where the types of its settings class are looked up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load
