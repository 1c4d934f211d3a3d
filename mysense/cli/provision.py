"""`mysense provision`: databases, users, tokens and all that a kit needs on an InfluxDB server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mysense.cli.common import Parser, VerbError, load, say
from mysense.errors import MySenseError

if TYPE_CHECKING:
    from mysense.application import Application
    from mysense.provision.plan import Plan
    from mysense.provision.safe import Kind
    from mysense.provision.wanted import Wanted

_WHAT = {"kit": 2, "database": 1, "reader": 1, "setup": 0}  # and how many names follow
_DESCRIPTION = """Make what is missing on an InfluxDB server, 1.x or 2.x: all that a kit needs, a
database or bucket, somebody who reads all kits, or the first administrator of a new server.
Without WHAT: for the kit of [id]. What is there already is left alone, so it can be repeated."""


def main(words: list[str]) -> int:
    """Carry out the steps; returns the exit code."""
    args = _parsed(words)
    application = load(args)
    plan = _plan(args, application)
    failure = ""
    stanza = ""
    try:
        stanza = _carry_out(args, application, plan)
    except (MySenseError, OSError) as wrong:  # what was done before is told all the same
        failure = str(wrong)
    finally:  # also after Ctrl-C: nobody else knows the secrets that were made
        if args.json:
            print(json.dumps(_as_json(plan, stanza, failure), indent=2))
        else:
            _tell_secrets(plan, stanza)
    if failure:
        raise VerbError(failure)
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = Parser("provision", " ".join(_DESCRIPTION.split()))
    what = "kit PROJECT SERIAL | database NAME | reader NAME | setup"
    parser.add_argument("names", nargs="*", metavar="WHAT", help=what)
    _add_how(parser)
    _add_what(parser)
    args = parser.parse_intermixed_args(words)
    args.what = args.names.pop(0) if args.names else ""
    if args.what and len(args.names) != _WHAT.get(args.what, -1):
        parser.error(f"expected {what}, found {' '.join([args.what, *args.names])}")
    return args


def _add_how(parser: Parser) -> None:
    add = parser.add_argument
    add("--dry-run", action="store_true", help="only say what would be made")
    add("--json", action="store_true", help="steps, new secrets and configuration as one object")
    add("--section", default="influxpub", help="the section that names the server: %(default)s")
    add("--admin-user", metavar="NAME", help="the administrator, else [provision] user")
    add(
        "--secrets",
        type=Path,
        metavar="FOLDER",
        help="new secrets go into files of mode 600 there, and are not shown; "
        "a password that is there already is taken",
    )
    add("--renew", action="store_true", help="new passwords and tokens in place of those there are")


def _add_what(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--retention", type=_duration, metavar="52w", help="how long points are kept; INF: for ever"
    )
    add("--shorten", action="store_true", help="also where that deletes points")
    add(
        "--rp", default="", metavar="NAME", help="1.x: default retention policy; 2.x: mapping to it"
    )
    add("--rollup", action="store_true", help="hourly means, in retention policy 1h")
    add("--late", type=_duration, metavar="7d", help="how late points may be for that: 7d")
    add("--reader", action="append", default=[], metavar="NAME", help="who may read it")
    add("--writer", action="append", default=[], metavar="NAME", help="who may write to it")
    add("--v1", action="store_true", help="2.x: a user of the 1.x API for each of them too")
    add("--member", action="append", default=[], metavar="NAME", help="2.x: who may log in")
    add(
        "--secret",
        action="append",
        default=[],
        type=_secret,
        metavar="KEY=FILE",
        help="2.x: a secret of the organisation, with what is in FILE",
    )


def _duration(text: str) -> int:
    from mysense.provision.wanted import seconds

    try:
        return seconds(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"expected {wrong}, found {text!r}") from None


def _secret(text: str) -> tuple[str, Path]:
    key, equals, file = text.partition("=")
    if not (key and equals and file):
        raise argparse.ArgumentTypeError("expected KEY=FILE")
    return key, Path(file)


def _plan(args: argparse.Namespace, application: Application) -> Plan:
    import attrs

    from mysense.influx.access import ServerSettings
    from mysense.provision.plan import Plan
    from mysense.provision.safe import Safe
    from mysense.provision.steps import Steps

    settings = application.section(args.section).settings
    if not isinstance(settings, ServerSettings):
        raise VerbError(f"[{args.section}] names no InfluxDB server")
    admin = application.provision
    if args.admin_user:
        admin = attrs.evolve(admin, user=args.admin_user)
    steps = Steps(lambda step: say(str(step)), dry=args.dry_run)
    safe = Safe(args.secrets and args.secrets.expanduser().absolute())
    return Plan(settings=settings, admin=admin, steps=steps, safe=safe, renew=args.renew)


def _carry_out(args: argparse.Namespace, application: Application, plan: Plan) -> str:
    """Do it; returns the configuration to paste, or nothing."""
    api = plan.api()
    if args.what == "setup":
        plan.set_up(api)
    elif args.what == "reader":
        plan.read_all(api, args.names[0], user_of_1x=args.v1)
    elif args.what == "database":
        plan.provide(api, _database(args, plan), _people(args))
    else:
        return _kit(args, application, plan, api)
    return ""


def _database(args: argparse.Namespace, plan: Plan) -> Wanted:
    from mysense.influx.layouts import Place
    from mysense.influx.naming import database

    layout = plan.layout
    place = Place(database(args.names[0]), layout.org, layout.rp)
    return _wanted(args, plan, place, args.writer, shared=layout.tagged)


def _kit(args: argparse.Namespace, application: Application, plan: Plan, api: int) -> str:
    from mysense.provision.stanza import Stanza

    project, serial = args.names or (application.id.project, application.id.serial)
    if not (project and serial):
        raise VerbError("name the kit, `provision kit PROJECT SERIAL`, or set both in [id]")
    ident = plan.ident(project, serial)
    place = plan.layout.place(ident)
    writers = [ident.kit, *args.writer]
    plan.provide(api, _wanted(args, plan, place, writers, shared=plan.layout.tagged), _people(args))
    kind: Kind = "password" if api == 1 else "token"
    return str(
        Stanza(
            project=project,
            serial=serial,
            section=args.section,
            settings=plan.settings,
            api=api,
            place=place,
            login=plan.safe.kept(ident.kit, kind),
            user=ident.kit,
            dry=args.dry_run,
        )
    )


def _wanted(
    args: argparse.Namespace, plan: Plan, place: Any, writers: list[str], *, shared: bool
) -> Wanted:
    from mysense.provision.rollups import LATE
    from mysense.provision.wanted import Wanted, everybody, seconds

    shard = getattr(plan.settings, "shard", "")
    if shard == "auto":
        shard = "" if shared else "520w"
    return Wanted(
        place=place,
        retention=args.retention,
        shorten=args.shorten,
        shard=seconds(shard) if shard else 0,
        mapping=args.rp,
        access=everybody(args.reader, writers),
        rollup=(args.late or LATE) if args.rollup else None,
        shared=shared,
        users_of_1x=args.v1,
    )


def _people(args: argparse.Namespace) -> Any:
    from mysense.options import Secret
    from mysense.provision.plan import People

    secrets = {
        key: Secret(file.read_text(encoding="utf-8").strip("\r\n")) for key, file in args.secret
    }
    return People(members=tuple(args.member), secrets=secrets)


def _as_json(plan: Plan, stanza: str, failure: str) -> dict[str, Any]:
    import attrs

    return {
        "dry_run": plan.steps.dry,
        "steps": [attrs.asdict(step) for step in plan.steps.all],
        "secrets": [
            {"of": kept.of, "kind": kept.kind}
            | ({"file": str(kept.file)} if kept.file else {"value": kept.secret.reveal()})
            for kept in plan.safe.made
        ],
        "configuration": stanza,
        "error": failure or None,
    }


def _tell_secrets(plan: Plan, stanza: str) -> None:
    """The stanza, and what is not in it and has to be shown now or never."""
    print(stanza, end="")
    for kept in plan.safe.made:
        if kept.file is not None:
            say(f"{kept.kind} of {kept.of}: {kept.file}")
        elif kept.secret.reveal() not in stanza:
            print(f"; {kept.kind} of {kept.of}, shown this once: {kept.secret.reveal()}")
