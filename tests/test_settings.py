"""Settings: precedence, secrets, and every fault of a file at once, each with its place."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense.options import Secret, option
from mysense.settings import SettingsError, Source


@attrs.frozen(kw_only=True)
class Shop:
    """Options of a section for these tests."""

    size: int = option(1, "how large", low=1, high=100)
    name: str = option("", "what it is called")
    names: tuple[str, ...] = option((), "several")
    folder: Path = option(Path("here"), "where")
    password: Secret = option(Secret(), "a secret")
    user: str = option("", "who logs in", by_file=True)


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration file, private as one with secrets should be."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "my.conf"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    return write


def settings(path=None, overrides=(), environ=None, section="shop", of=Shop):
    source = Source(path, overrides, environ or {})
    made = source.structure(section, of)
    source.finish()
    return made


def faults(*args, **options) -> list[str]:
    with pytest.raises(SettingsError) as wrong:
        settings(*args, **options)
    return str(wrong.value).splitlines()


# -- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[shop]\nsize = 7\n",
        "[shop]\nsize=7",
        "[shop]\nsize: 7\n",
        "[SHOP]\nSize = 7\n",
        "\ufeff[shop]\r\nsize = 7\r\n",
        "# one\n; two\n\n[shop]  \n  # three\nsize = 7   \n",
        "[shop]\n    size = 7\n    name = x\n",
        "[shop]\rsize = 7\r",
        "[ shop ]\nsize\t=\t7\n",
    ],
)
def test_people_write_ini_in_many_ways(conf, text):
    """Line ends, indents, case and byte order mark make no difference."""
    assert settings(conf(text)).size == 7


def test_percent_is_no_interpolation(conf):
    """What stands in the file is the value."""
    assert settings(conf("[shop]\nname = 100%(size)s = ${x}\n")).name == "100%(size)s = ${x}"


def test_list_goes_on_where_lines_are_indented_deeper(conf):
    """A long list may take several lines."""
    assert settings(conf("[shop]\nnames = a,\n  b\n  c\nsize = 2\n")).names == ("a", "b", "c")


def test_section_without_options_has_defaults(conf):
    """Nothing given is every default."""
    assert settings(conf("[shop]\n")) == Shop()


# -- precedence -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((), 1),
        (("file",), 2),
        (("file", "environment"), 3),
        (("file", "environment", "command line"), 4),
        (("environment", "command line"), 4),
        (("command line",), 4),
        (("file", "command line"), 4),
    ],
)
def test_precedence(conf, given, size):
    """Command line, environment, file, default."""
    path = conf("[shop]\nsize = 2\n") if "file" in given else None
    environ = {"SHOP_SIZE": "3"} if "environment" in given else {}
    overrides = ["shop.size=4"] if "command line" in given else []
    assert settings(path, overrides, environ).size == size


def test_last_override_wins():
    """An option given twice on the command line has its last value, as with other commands."""
    assert settings(None, ["shop.size=4", "SHOP.Size = 5"]).size == 5


def test_empty_variable_is_unset(conf):
    """Service files and containers pass variables that nobody has filled."""
    assert settings(conf("[shop]\nsize = 2\n"), environ={"SHOP_SIZE": ""}).size == 2


def test_second_instance_has_its_own_variables():
    """[shop:back-up] reads SHOP_BACK_UP_SIZE, and not the first one's."""
    environ = {"SHOP_SIZE": "2", "SHOP_BACK_UP_SIZE": "3"}
    assert settings(None, environ=environ, section="shop:back-up").size == 3


# -- faults -----------------------------------------------------------------------------------


def test_all_faults_are_reported_in_the_order_of_lines(conf):
    """One look at a file finds everything that is wrong with it."""
    text = "[shop]\nsiez = 2\nsize = many\nnonsense\n[other]\n[shop]\nname = a\nname = b\n"
    assert faults(conf(text), ["shop.nam=x"]) == [
        "my.conf:2: [shop] siez: expected a known option, found 'siez' (did you mean size?)",
        "my.conf:3: [shop] size: expected a whole number from 1 to 100, found 'many'",
        "my.conf:4: [shop]: expected 'option = value', a [section] or a comment, found 'nonsense'",
        "my.conf:6: [shop]: expected each section once, found it again, first at my.conf:1",
        "my.conf:8: [shop] name: expected each option once, found it again, first at my.conf:7",
        "command line: [shop] nam: expected a known option, found 'nam' (did you mean name?)",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("size = 1\n", "my.conf:1: size: expected a [section] before the first option"),
        ("[shop\nsize = 1\n", "my.conf:1: [shop]: expected a ] after the section's name"),
        ("[shop] ; main\n", "my.conf:1: [shop]: expected nothing after ], found '; main'"),
        ("[my shop]\nx = 1\n", "my.conf:1: expected a section's name, found 'my shop'"),
        ("[]\nx = 1\n", "my.conf:1: expected a section's name, found ''"),
        ("[shop:]\n", "my.conf:1: expected a section's name, found 'shop:'"),
        ("[shop]\nsize = 0\n", "expected a number from 1 to 100, found '0'"),
        ("[shop]\nsize =\n", "expected a whole number from 1 to 100, found ''"),
        ("[shop]\nsize = 5 ; five\n", "found '5 ; five' (a comment needs a line of its own)"),
        ("[shop]\nsize = 5\n  name = x\n", "(a line that is indented deeper goes on with"),
        ("[shop]\nfolder = x\n  name = x\n", "[shop] folder: expected a path, found 'x\\nname"),
        ("[shop]\nxyz = 1\n", "found 'xyz' (known: folder, name, names, password, size, user)"),
    ],
)
def test_fault_is_one_clear_line(conf, text, fault):
    """Each fault is one line with place, section, option, expected, found and a hint."""
    (told,) = faults(conf(text))
    assert fault in told


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[shop]\nname = caf\xe9\n", "expected UTF-8 text, found byte 0xe9 at 17 (save the file"),
        ("[shop]\n".encode("utf-16"), "expected UTF-8 text, found byte 0xff at 0"),
    ],
)
def test_other_encoding_is_refused(conf, content, fault):
    """A file in another encoding is not guessed at."""
    assert fault in faults(conf(content))[0]


@pytest.mark.parametrize("path", ["missing.conf", "."])
def test_file_that_cannot_be_read_is_named(tmp_path, path):
    """No file and a folder are faults of the file itself."""
    assert f"{tmp_path / path}: expected a readable file" in faults(tmp_path / path)[0]


@pytest.mark.parametrize("text", ["nonsense", "=", "shop=1", ".size=1", "shop.=1", "shop.size"])
def test_override_has_a_form(text):
    """What is no SECTION.KEY=VALUE is a fault of the command line."""
    assert faults(None, [text])[0].startswith("command line: expected -o SECTION.KEY=VALUE")


def test_override_of_an_unusable_section_is_refused():
    """The command line may not name what a file may not."""
    assert "expected a section's name, found 'sh op'" in faults(None, ["sh op.size=1"])[0]


def test_fault_in_the_environment_names_the_variable():
    """Who looks for a fault finds it where it is."""
    (told,) = faults(None, environ={"SHOP_SIZE": "many"})
    assert told.startswith("environment SHOP_SIZE: [shop] size: expected")


def test_option_without_default_is_asked_for(conf):
    """A plugin's option that must be given is a fault while it is not."""

    @attrs.frozen(kw_only=True)
    class Needy:
        hostname: str

    told = faults(conf("[shop]\n"), of=Needy)
    assert told == [
        "my.conf:1: [shop] hostname: expected a text, found nothing (it has no default)"
    ]


def test_options_that_do_not_go_together_are_a_fault(conf):
    """What a settings class itself refuses is a fault of its section."""

    @attrs.frozen(kw_only=True)
    class Strict:
        low: int = option(0, "lower")
        high: int = option(1, "upper")

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low below high")

    assert faults(conf("[shop]\nlow = 2\n"), of=Strict) == [
        "my.conf:1: [shop]: expected low below high"
    ]


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="[]:=;# \n\tshopize7"))
def test_any_file_is_settings_or_faults(tmp_path_factory, text):
    """No text makes reading raise anything but SettingsError."""
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_bytes(text.encode())
    try:
        made = settings(path)
    except SettingsError as wrong:
        made = wrong.faults
    assert made


# -- secrets ----------------------------------------------------------------------------------


@pytest.fixture
def every_place(conf, tmp_path):
    """A secret in each place where one may be: file and environment."""
    (tmp_path / "named").write_text("from named file\n")
    (tmp_path / "shop_password").write_text("from credentials\r\n")
    environ = {
        "SHOP_PASSWORD": "from variable",
        "SHOP_PASSWORD_FILE": str(tmp_path / "named"),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    return conf("[shop]\npassword = from file\n"), environ


@pytest.mark.parametrize(
    ("without", "secret"),
    [
        ((), "from variable"),
        (("SHOP_PASSWORD",), "from named file"),
        (("SHOP_PASSWORD", "SHOP_PASSWORD_FILE"), "from credentials"),
        (("SHOP_PASSWORD", "SHOP_PASSWORD_FILE", "CREDENTIALS_DIRECTORY"), "from file"),
    ],
)
def test_secret_comes_from_the_first_place_that_has_one(every_place, without, secret):
    """Variable, file named by a variable, credentials, configuration: in that order."""
    path, environ = every_place
    left = {name: value for name, value in environ.items() if name not in without}
    assert settings(path, environ=left).password == Secret(secret)


@pytest.mark.parametrize(
    ("without", "user"),
    [
        ((), "from variable"),
        (("SHOP_USER",), "from named file"),
        (("SHOP_USER", "SHOP_USER_FILE"), "from file"),
    ],
)
def test_a_user_may_come_from_a_file_too(conf, tmp_path, caplog, without, user):
    """As its password does; who it is may be known, so nobody is warned."""
    (tmp_path / "named").write_text("from named file\n")
    environ = {"SHOP_USER": "from variable", "SHOP_USER_FILE": str(tmp_path / "named")}
    left = {name: value for name, value in environ.items() if name not in without}
    assert settings(conf("[shop]\nuser = from file\n"), environ=left).user == user
    assert caplog.text == ""


def test_the_command_line_names_a_user(tmp_path):
    """Over the environment: it is no secret."""
    environ = {"SHOP_USER_FILE": str(tmp_path)}
    assert settings(overrides=["shop.user=me"], environ=environ).user == "me"


def test_second_instance_has_its_own_secret(tmp_path):
    """[shop:backup] reads SHOP_BACKUP_PASSWORD and its own credential."""
    (tmp_path / "shop_backup_password").write_text("its own")
    environ = {"SHOP_PASSWORD": "the other's", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert settings(environ=environ, section="shop:backup").password == Secret("its own")


def test_credentials_of_others_are_no_fault(tmp_path):
    """A credentials folder need not have one for every section."""
    assert settings(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).password == Secret()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_secret_file_that_cannot_be_read_is_a_fault(tmp_path, content):
    """A secret that was promised and is not there is not taken for an empty one."""
    if content is not None:
        (tmp_path / "named").write_bytes(content)
    (told,) = faults(environ={"SHOP_PASSWORD_FILE": str(tmp_path / "named")})
    assert "environment SHOP_PASSWORD_FILE: [shop] password: expected a readable file" in told


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_secret_that_others_can_read_is_warned_about(conf, caplog, mode):
    """The warning names the line and what to do, and not the secret."""
    path = conf("[shop]\npassword = hunter2\n")
    path.chmod(mode)
    settings(path)
    assert f"my.conf:2: others can read this file and the secret in it; chmod 600 {path}" in (
        caplog.messages
    )


@pytest.mark.parametrize(
    ("text", "environ"),
    [("[shop]\npassword = x\n", {"SHOP_PASSWORD": "y"}), ("[shop]\nsize = 2\n", {})],
)
def test_no_warning_where_the_file_is_not_asked(conf, caplog, text, environ):
    """Whoever keeps the secret elsewhere hears nothing."""
    path = conf(text)
    path.chmod(0o644)
    settings(path, environ=environ)
    assert caplog.records == []


def test_private_file_gives_no_warning(conf, caplog):
    """A file of mode 600 is where a secret may be."""
    assert settings(conf("[shop]\npassword = x\n")).password == Secret("x")
    assert caplog.records == []


def test_secret_in_a_command_is_refused():
    """A command line is seen by everybody on the machine."""
    (told,) = faults(None, ["shop.password=hunter2"])
    assert told == (
        "command line: [shop] password: expected a secret from a file or the environment, "
        "found it in a command"
    )


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("[shop]\npasword = hunter2\n", []),
        ("[shop]\npassword hunter2\n", []),
        ("password = hunter2\n", []),
        ("[shop]\npassword = a\npassword = hunter2\n", []),
        ("[sh op]\npassword = hunter2\n", []),
        ("[shop]\n", ["shop.password=hunter2"]),
        ("[shop]\n", ["password=hunter2"]),
        ("[shop]\n", ["shop.passwrd=hunter2"]),
    ],
)
def test_no_fault_shows_a_secret(conf, text, overrides):
    """Faults are pasted into forums."""
    assert "hunter2" not in "\n".join(faults(conf(text), overrides))


def test_secret_that_is_not_acceptable_is_not_shown(conf):
    """A plugin may ask for more than any text, and still shows nothing."""

    @attrs.frozen(kw_only=True)
    class Careful:
        token: Secret = option(Secret(), "a secret", check=lambda _: "a longer secret")

    (told,) = faults(conf("[shop]\ntoken = hunter2\n"), of=Careful)
    assert told == "my.conf:2: [shop] token: expected a longer secret, found ***"


def test_settings_do_not_show_a_secret(conf, caplog):
    """Neither a text of the settings nor a log line has it."""
    caplog.set_level(logging.DEBUG)
    path = conf("[shop]\npassword = hunter2\n")
    path.chmod(0o644)
    assert "hunter2" not in repr(settings(path)) + caplog.text
