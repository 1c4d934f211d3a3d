"""Files by which Grafana shows what lies in InfluxDB: data sources and dashboards."""
