"""Plugins as users write them: one file each, dropped into a folder."""

PUBLISHER = '''\
"""Prints how many telegrams came."""

import sys

import attrs

from mysense.options import Secret, option
from mysense.plugin import OutputSettings, Publisher, Refused


@attrs.frozen(kw_only=True)
class FooSettings(OutputSettings):
    word: str = option("got", "what to say")
    refuse: bool = option(False, "refuses everything")
    password: Secret = option(Secret(), "a secret")


class Foo(Publisher[FooSettings]):
    """Says how many telegrams it got."""

    Settings = FooSettings

    def publish(self, batch):
        if self.settings.refuse:
            raise Refused({at: "not today" for at in range(len(batch))})
        print(self.settings.word, len(batch), flush=True)

    def preview(self, batch):
        for telegram in batch:
            yield f"{self.settings.word} {telegram.time}"


PLUGIN = Foo
'''

SUBSCRIBER = '''\
"""Makes three telegrams and a line that is none."""

import attrs

from mysense.plugin import InputSettings, Refusal, Subscriber
from mysense.telegram import Ident, Telegram

KIT = Ident(project="BdP", serial="sub")


class Sub(Subscriber[InputSettings]):
    """Three telegrams."""

    Settings = InputSettings

    def poll(self, position):
        if position:
            return [], position
        many = [Telegram.from_json(KIT, {"time": at, "temp": 1.5}) for at in (1, 2, 3)]
        return [*many, Refusal("line 4", "it is odd", "odd")], {"at": 3}


PLUGIN = Sub
'''

SENSOR = '''\
"""Always the same temperature."""

from mysense.plugin import Field, Gone, Sensor, SensorSettings, Transient


class Still(Sensor[SensorSettings]):
    """A still sensor."""

    Settings = SensorSettings
    fields = (Field("temp", "C", "still", -40, 85),)
    opened = reads = 0

    def open(self):
        type(self).opened += 1
        if self.opened == 1:
            raise Gone("not plugged in yet")

    def read(self):
        type(self).reads += 1
        if self.reads == 1:
            raise Transient("no answer this time")
        return {"temp": 21.5}


PLUGIN = Still
'''
