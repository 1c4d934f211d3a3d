"""The documentation says what the code says."""

from __future__ import annotations

import importlib.util
import re

import attrs
import pytest

from mysense.application import CORE, Application
from mysense.loader import Loader
from mysense.plugin import OutputSettings, Sensor, SensorSettings
from mysense.settings import Source
from mysense.telegram import Ident, Telegram
from tests.conftest import CHECKOUT

CONF = CHECKOUT / "MySense.conf"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PLUGINS = {name: found.folder for name, found in Loader().found.items()}
SECTIONS = ["set-up", "options", "example output", "what goes wrong"]
# what every output and every sensor can be told is in MySense.conf once, in the first such section
COMMON = {
    field.name
    for base in (OutputSettings, SensorSettings)
    for field in attrs.fields(base)
    if field.name not in ("input", "output", "interval")
}
DEFAULT = re.compile(r"^;\s?(\w+)\s*=", re.MULTILINE)


def load_generate():
    spec = importlib.util.spec_from_file_location("docs_generate", CHECKOUT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generate()
PAGES = [page.relative_to(CHECKOUT).as_posix() for page in generate.pages()]


@pytest.fixture
def everything_on(tmp_path):
    """MySense.conf with all that is commented out as a default switched on."""
    path = tmp_path / "MySense.conf"
    path.write_text(DEFAULT.sub(r"\1 =", CONF.read_text(encoding="utf-8")), encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_has_a_page(name):
    """Every plugin of the project is described."""
    assert (CHECKOUT / "docs" / PLUGINS[name] / f"{name}.md").is_file()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.startswith(("docs/channels/", "docs/sensors/"))]
)
def test_page_has_its_sections(page):
    """The page of a plugin has the fixed sections in the fixed order, and a table of options."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    found = [title.lower() for title in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    kept = [start for title in found for start in SECTIONS if title.startswith(start)]
    assert (kept, "<!-- options -->" in text) == (SECTIONS, True)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_fresh(page):
    """Tables and help texts in the page are those of the code; else run `make docs-tables`."""
    assert not generate.stale(CHECKOUT / page)


def test_every_verb_is_described():
    """The help of every verb of the command line is in docs/commands.md."""
    text = (CHECKOUT / "docs/commands.md").read_text(encoding="utf-8")
    assert [verb for verb in generate.verbs() if f"<!-- help {verb} -->" not in text] == []


def test_every_option_of_the_core_is_described():
    """Each section of the core has its table in docs/configuration.md."""
    text = (CHECKOUT / "docs/configuration.md").read_text(encoding="utf-8")
    assert [section for section in CORE if f"<!-- options {section} -->" not in text] == []


def test_default_configuration_is_good():
    """MySense.conf as it comes has no faults."""
    assert Application.load(CONF, environ={}).path == CONF


def test_default_configuration_prints_to_the_console():
    """As it comes, the console is the only output."""
    assert [one.section for one in Application.load(CONF, environ={}).outputs()] == ["console"]


@pytest.mark.parametrize("name", [*CORE, *PLUGINS])
def test_configuration_names_every_option(name):
    """MySense.conf has a section for every plugin, with all its options."""
    text = CONF.read_text(encoding="utf-8")
    section = re.search(rf"^\[{name}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"[{name}] is missing"
    named = set(re.findall(r"^;?\s?(\w+)\s*=", section[1], re.MULTILINE))
    options = {field.name for field in attrs.fields(generate.settings_of(name))}
    assert options - named <= COMMON


def test_common_options_are_explained_once():
    """What every output and every sensor can be told is somewhere."""
    text = CONF.read_text(encoding="utf-8")
    assert [option for option in COMMON if f"{option} =" not in text] == []


@pytest.mark.parametrize("name", [*CORE, *PLUGINS])
def test_configuration_shows_defaults(name, everything_on):
    """What is commented out in MySense.conf is the default, to the letter."""
    source = Source(everything_on, environ={})
    of = generate.settings_of(name)
    shown, default = source.structure(name, of), of()
    source.finish()
    given = Source(CONF, environ={}).structure(name, of)
    own = {
        field.name: getattr(default, field.name)
        for field in attrs.fields(of)
        if getattr(given, field.name) != getattr(default, field.name)  # set, not commented out
    }
    assert attrs.evolve(shown, **own) == default


def test_sections_of_unknown_plugins_do_not_occur(everything_on):
    """MySense.conf switched on completely has no faults either."""
    assert Application.load(everything_on, environ={}).configured


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_links_lead_somewhere(page):
    """A relative link in a page names a file that exists."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    here = (CHECKOUT / page).parent
    assert [link for link in links if not (here / link).exists()] == []


def test_make_targets_in_readme_exist():
    """Every `make TARGET` in README.md is a target."""
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^(?:.*`)?make ([a-z-]+)", README, re.MULTILINE)) <= set(targets)


def test_verbs_in_readme_exist():
    """Every `mysense VERB` in README.md is a verb."""
    assert set(re.findall(r"^(?:.*[`/])?mysense ([a-z]+)", README, re.MULTILINE)) <= set(
        generate.verbs()
    )


def test_kinds_of_plugins_lie_in_their_folders():
    """Sensors lie in sensors, everything else in channels."""
    loader = Loader()
    kinds = {
        name: "sensors" if issubclass(loader.load(name), Sensor) else "channels" for name in PLUGINS
    }
    assert kinds == PLUGINS


def test_channel_of_the_page_works(tmp_path, capfd, example):
    """The channel that docs/write-a-channel.md shows can be dropped in as it stands there."""
    page = (CHECKOUT / "docs/write-a-channel.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "MySHOUT.py").write_text(code, encoding="utf-8")
    plugin = Loader([tmp_path]).load("shout")
    with plugin(plugin.Settings()) as output:
        output.publish(example)
    assert capfd.readouterr().out == "BDP_TEST_SENSE 1494777772!\n"


@pytest.fixture
def example():
    ident = Ident(project="BdP", serial="test_sense")
    return [Telegram.from_json(ident, {"time": 1494777772, "temp": 28.75})]
