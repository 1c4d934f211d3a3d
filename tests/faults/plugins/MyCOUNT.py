"""A sensor that counts, also over restarts: its value says which reading it was."""

from pathlib import Path

import attrs

from mysense.options import option
from mysense.plugin import Field, Sensor, SensorSettings


@attrs.frozen(kw_only=True)
class CountSettings(SensorSettings):
    file: Path = option(Path("count"), "where it remembers the count")


class Count(Sensor[CountSettings]):
    """Gives 1, 2, 3 ..."""

    Settings = CountSettings
    fields = (Field("count", "n", "counter", 0, 1e9, 0),)

    def read(self):
        file = self.settings.file
        count = int(file.read_text()) + 1 if file.exists() else 1
        new = file.with_name(f"{file.name}.new")
        new.write_text(str(count))
        new.rename(file)
        return {"count": count}


PLUGIN = Count
