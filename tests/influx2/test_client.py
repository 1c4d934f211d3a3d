"""The official client of 2.x finds in the fake what it finds in a server."""

from __future__ import annotations

import pytest

influxdb_client = pytest.importorskip("influxdb_client")
pytestmark = pytest.mark.influx2


def test_set_up_by_the_official_client(new_influx2):
    """Set-up, bucket, token and points by influxdb-client."""
    from influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import SYNCHRONOUS

    server = new_influx2()
    status, answer = server.request(
        "POST",
        "/api/v2/setup",
        {"username": "u", "password": "password", "org": "o", "bucket": "b"},
    )
    assert status == 201, answer
    server.token = answer["auth"]["token"]
    with InfluxDBClient(server.url, token=server.token, org="o") as client:
        client.buckets_api().create_bucket(bucket_name="made", org="o")
        with client.write_api(write_options=SYNCHRONOUS) as writing:
            writing.write("made", "o", "data v=1 1494777772", write_precision="s")
    assert server.rows("SELECT v FROM data", db="made") == [{"time": 1494777772, "v": 1}]
