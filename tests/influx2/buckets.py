"""Buckets, the points in them, and their names as databases."""

from __future__ import annotations

from tests.influx2 import lines
from tests.influx2.errors import Refusal, conflict, invalid, not_found
from tests.influx2.routes import Answer, Asked, Base, route
from tests.influx2.state import Thing, bucket_name_good, new_id, retention_good, unique


class Buckets(Base):
    """What points are in."""

    @route("GET", "/api/v2/buckets")
    def buckets(self, asked: Asked) -> Answer:
        named = asked.query.get("orgID") or asked.query.get("org")
        org = self.state.org(named)["id"] if named else None
        name = asked.query.get("name")
        found = [
            one
            for one in self.state.buckets.values()
            if org in {None, one["orgID"]}
            and name in {None, one["name"]}
            and asked.query.get("id") in {None, one["id"]}
        ]
        # a page is cut out first, and then what may not be seen is left out of it
        seen = [one for one in self.page(asked, found) if self.sees(asked, one)]
        if name and org and not found:
            raise not_found(f'bucket "{name}" not found')
        return 200, {"buckets": seen, "links": {"self": "/api/v2/buckets"}}

    @route("POST", "/api/v2/buckets")
    def add_bucket(self, asked: Asked) -> Answer:
        org = self.state.org(asked.json["orgID"])
        self.need(asked, "write", "buckets", org["id"])
        name = bucket_name_good(asked.json["name"])
        rules = asked.json.get("retentionRules") or []
        more = asked.json.get("description", "")
        return 201, self._new_bucket(org, name, rules, description=more)

    def _new_bucket(
        self, org: Thing, name: str, rules: list[Thing], kind: str = "user", description: str = ""
    ) -> Thing:
        unique(self.state.buckets.values(), "bucket", name=name, orgID=org["id"])
        made = {
            "orgID": org["id"],
            "name": name,
            "type": kind,
            "description": description,
            "retentionRules": retention_good(rules, 0),
        }
        bucket = self.state.add(self.state.buckets, made)
        self.engine.create(bucket["id"], bucket["retentionRules"][0]["everySeconds"])
        return bucket

    @route("GET", "/api/v2/buckets/{id}")
    def bucket(self, asked: Asked, bucket: str) -> Answer:
        return 200, self._bucket(asked, bucket, "read")

    def _bucket(self, asked: Asked, bucket: str, action: str) -> Thing:
        found = self.state.buckets.get(bucket)
        if found is None:
            raise not_found("bucket not found")
        self.need(asked, action, "buckets", found["orgID"], bucket)
        return found

    @route("PATCH", "/api/v2/buckets/{id}")
    def change_bucket(self, asked: Asked, bucket: str) -> Answer:
        found = self._bucket(asked, bucket, "write")
        rules = asked.json.get("retentionRules")
        if rules:
            shard = found["retentionRules"][0]["shardGroupDurationSeconds"]
            rules = retention_good([{"shardGroupDurationSeconds": shard} | rules[0]], shard)
            rule = rules[0]
            self.engine.alter(bucket, rule["everySeconds"], rule["shardGroupDurationSeconds"])
            found["retentionRules"] = rules
        found |= {k: v for k, v in asked.json.items() if k in {"name", "description"}}
        return 200, found

    @route("DELETE", "/api/v2/buckets/{id}")
    def drop_bucket(self, asked: Asked, bucket: str) -> Answer:
        self._bucket(asked, bucket, "write")
        del self.state.buckets[bucket]
        self.engine.drop(bucket)
        return 204, None

    @route("GET", "/api/v2/dbrps")
    def dbrps(self, asked: Asked) -> Answer:
        if not {"org", "orgID"} & asked.query.keys():
            raise invalid("Please provide either orgID or org")
        keys = {"db": "database", "rp": "retention_policy", "bucketID": "bucketID", "id": "id"}
        content = [
            one
            for one in self.state.mappings(self.org_of(asked))
            if all(one[keys[k]] == v for k, v in asked.query.items() if k in keys)
            and self.sees(asked, self.state.buckets[one["bucketID"]])
        ]
        return 200, {"content": content}

    @route("POST", "/api/v2/dbrps")
    def add_dbrp(self, asked: Asked) -> Answer:
        org = self.org_of(asked)
        bucket = self.state.bucket(org, asked.json["bucketID"])
        self.need(asked, "write", "buckets", org["id"], bucket["id"])
        pair = {key: asked.json[key] for key in ("database", "retention_policy")}
        mine = [one for one in self.state.dbrps.values() if one["orgID"] == org["id"]]
        if any(one.items() >= pair.items() for one in mine):
            raise conflict("DBRP already exists")
        same = [one for one in mine if one["database"] == pair["database"]]
        default = asked.json.get("default", False) or not same
        if default:
            for one in same:
                one["default"] = False
        made = pair | {"orgID": org["id"], "bucketID": bucket["id"], "default": default}
        made["virtual"] = False
        made["id"] = new_id()
        self.state.dbrps[made["id"]] = made
        return 201, made

    @route("DELETE", "/api/v2/dbrps/{id}")
    def drop_dbrp(self, asked: Asked, one: str) -> Answer:
        self.state.dbrps.pop(one, None)
        return 204, None

    def write(self, asked: Asked) -> Answer:
        precision = asked.query.get("precision", "ns")
        if precision not in {"ns", "us", "ms", "s"}:
            told = "invalid precision; valid precision units are ns, us, ms, and s"
            raise invalid(told)
        org = self.state.org(asked.query.get("orgID") or asked.query.get("org"))
        bucket = self.state.bucket(org, asked.query["bucket"])
        return self.store_points(asked, bucket, precision)

    def store_points(self, asked: Asked, bucket: Thing, precision: str) -> Answer:
        """Points into `bucket`, all or, of what can be parsed, those that fit."""
        if not self.may(asked, "write", "buckets", bucket["orgID"], bucket["id"]):
            why = ": token is inactive" if asked.who["status"] != "active" else ""
            raise Refusal(403, "forbidden", f"insufficient permissions for write{why}")
        try:
            points = lines.check(asked.body.decode(errors="surrogateescape"))
        except lines.Unparsable as wrong:
            raise invalid(str(wrong)) from None
        if points:
            self.engine.write(bucket["id"], asked.body, precision)
        return 204, None
