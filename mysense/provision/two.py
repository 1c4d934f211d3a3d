"""InfluxDB 2.x: organisations, buckets, mappings and tasks, through its JSON API."""

from __future__ import annotations

from mysense.influx.http import ServerSettings
from mysense.options import Secret
from mysense.provision import rollups
from mysense.provision.errors import ProvisionError
from mysense.provision.jsonapi import JsonApi, Thing
from mysense.provision.people import People
from mysense.provision.safe import Safe, long_enough
from mysense.provision.steps import Steps
from mysense.provision.tokens import Tokens
from mysense.provision.wanted import Access, Wanted, check_retention, in_words

_MAPPED_BY_NAME = (2, 4)  # from this version on a bucket is a database without a mapping


class Two:
    """One server of version 2, asked with the token of an operator.

    Args:
        settings: how to reach it, with that token.
        steps: does and notes what is to be done.
        safe: where tokens and passwords go.
        renew: whether tokens and passwords are replaced.
    """

    def __init__(
        self, settings: ServerSettings, steps: Steps, safe: Safe, *, renew: bool = False
    ) -> None:
        self._json = JsonApi(settings)
        self._steps = steps
        self._safe = safe
        self._tokens = Tokens(self._json, settings, steps, safe, renew=renew)
        self.people = People(self._json, settings, steps, safe, renew=renew)

    def close(self) -> None:
        """Close the connection."""
        self._json.close()

    def set_up(self, name: str, given: Secret, org: str, bucket: str, token: Secret) -> None:
        """The first user, organisation, bucket and token of a new server.

        Args:
            name: of the user.
            given: the password, or nothing for a new one.
            org: organisation.
            bucket: of that organisation.
            token: that the user will have, or nothing for a new one.
        """
        if not self._json.get("setup")["allowed"]:
            self._steps.exists("set-up", f"of {self._json}")
            return

        def make() -> None:
            password = long_enough(given or self._safe.password(name))
            own = token or self._safe.token(name)  # kept before the server hears of it
            body = {"username": name, "password": password.reveal(), "token": own.reveal()}
            self._json.post("setup", body | {"org": org, "bucket": bucket}, password, own)

        self._steps.create("set-up", f"of {self._json}", make, f"user {name}, org {org}")

    def org(self, name: str) -> Thing | None:
        """The organisation, made where it is missing; None if that is not to be done.

        Raises:
            ProvisionError: there is no name.
        """
        if not name:
            raise ProvisionError("InfluxDB 2.x needs an organisation: set org in this section")
        found = self._json.find("orgs", name, org=name)
        if found is not None:
            self._steps.exists("organisation", name)
            return found
        return self._steps.create(
            "organisation", name, lambda: self._json.post("orgs", {"name": name})
        )

    def provide(self, org: Thing | None, wanted: Wanted) -> None:
        """Make the bucket with all that hangs on it, as far as it is missing."""
        bucket = self._bucket(org, wanted)
        self._mapping(org, bucket, wanted)
        for access in wanted.access:
            what = f"bucket {wanted.place.bucket}"
            self._tokens.provide(org, bucket, access, what, every=False)
            if wanted.users_of_1x:
                self._tokens.user_of_1x(org, bucket, access)
        if wanted.rollup is not None:
            self._rollup_bucket(org, wanted)
            self._task(org, wanted)

    def read_all(self, org: Thing | None, access: Access, *, user_of_1x: bool) -> None:
        """Let somebody read every bucket of an organisation, those too that come later."""
        self._tokens.provide(org, None, access, "every bucket", every=True)
        if user_of_1x:
            self._tokens.user_of_1x(org, None, access)

    def _bucket(self, org: Thing | None, wanted: Wanted) -> Thing | None:
        name = wanted.place.bucket
        found = self._bucket_called(org, name)
        if found is None:
            rules = [_rule(wanted.retention or 0, wanted.shard_seconds)]
            return self._new_bucket(org, name, rules)
        now = _every(found)
        if not check_retention(f"bucket {name}", now, wanted):
            self._steps.exists("bucket", name, in_words(now))
            return found
        path = f"api/v2/buckets/{found['id']}"
        detail = f"{in_words(now)} -> {in_words(wanted.retention or 0)}"
        rules = [_rule(wanted.retention or 0, wanted.shard_after(_shard(found)))]
        self._steps.change(
            "bucket",
            name,
            lambda: self._json.call("PATCH", path, {"retentionRules": rules}),
            detail,
        )
        return found

    def _new_bucket(self, org: Thing | None, name: str, rules: list[Thing]) -> Thing | None:
        body = {"orgID": org["id"] if org else "", "name": name, "retentionRules": rules}
        detail = in_words(rules[0]["everySeconds"])
        return self._steps.create("bucket", name, lambda: self._json.post("buckets", body), detail)

    def _bucket_called(self, org: Thing | None, name: str) -> Thing | None:
        return self._json.find("buckets", name, orgID=org["id"], name=name) if org else None

    def _mapping(self, org: Thing | None, bucket: Thing | None, wanted: Wanted) -> None:
        """By which names 1.x requests find the bucket, where its own name is not enough."""
        policy = wanted.mapping or wanted.place.rp or "autogen"
        if not wanted.mapping and self._json.version() >= _MAPPED_BY_NAME:
            return
        database = wanted.place.database
        title = f"{database} {policy}"
        detail = f"to bucket {wanted.place.bucket}"
        mapped = self._mapped(org, database, policy)
        if mapped is not None and bucket is not None and mapped["bucketID"] != bucket["id"]:
            raise ProvisionError(f"{title} is mapped to another bucket, {mapped['bucketID']}")
        if mapped is not None:
            self._steps.exists("mapping", title, detail)
            return
        body = {"database": database, "retention_policy": policy, "default": True}
        ids = {"orgID": org and org["id"], "bucketID": bucket and bucket["id"]}
        self._steps.create("mapping", title, lambda: self._json.post("dbrps", body | ids), detail)

    def _mapped(self, org: Thing | None, database: str, policy: str) -> Thing | None:
        if org is None:
            return None
        found = self._json.get("dbrps", orgID=org["id"], db=database, rp=policy)
        return next(iter(found["content"] or []), None)

    def _rollup_bucket(self, org: Thing | None, wanted: Wanted) -> None:
        name = f"{wanted.place.bucket}/{rollups.POLICY}"
        if self._bucket_called(org, name) is not None:
            self._steps.exists("bucket", name)
        else:
            self._new_bucket(org, name, [_rule(0, wanted.shard)])

    def _task(self, org: Thing | None, wanted: Wanted) -> None:
        bucket = wanted.place.bucket
        late = wanted.rollup or rollups.LATE
        flux = rollups.task(wanted.place.org, bucket, late=late, shared=wanted.shared)
        name = rollups.task_name(bucket)
        found = self._json.find("tasks", name, orgID=org["id"], name=name) if org else None
        if found is None:
            body = {"orgID": org["id"] if org else "", "status": "active", "flux": flux}
            self._steps.create("task", name, lambda: self._json.post("tasks", body))
        elif str(found["flux"]).split() == flux.split():
            self._steps.exists("task", name)
        else:
            path = f"api/v2/tasks/{found['id']}"
            self._steps.change(
                "task", name, lambda: self._json.call("PATCH", path, {"flux": flux}), "new script"
            )


def _rule(every: int, shard: int) -> Thing:
    rule: Thing = {"type": "expire", "everySeconds": every}
    return rule | ({"shardGroupDurationSeconds": shard} if shard else {})


def _every(bucket: Thing) -> int:
    return next((int(rule["everySeconds"]) for rule in bucket["retentionRules"]), 0)


def _shard(bucket: Thing) -> int:
    rules = bucket["retentionRules"]
    return next((int(rule.get("shardGroupDurationSeconds") or 0) for rule in rules), 0)
