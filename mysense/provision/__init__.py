"""Databases, buckets, users and tokens on an InfluxDB server, made as far as they are missing."""
