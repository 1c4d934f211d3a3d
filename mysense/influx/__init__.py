"""What the InfluxDB channels share: transport, names, line protocol, field types."""
