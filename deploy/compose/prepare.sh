#!/bin/sh
# Makes what compose.yaml needs: secrets, the image of MySense, and tokens that may only read.
# It can be repeated; what is there stays.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets

make_secret() {
    test -s "secrets/$1" || head -c 32 /dev/urandom | base64 | tr -d '+/=\n' >"secrets/$1"
    chmod 644 "secrets/$1" # each container reads its own; the folder keeps everybody else out
}

make_secret influxdb_password
make_secret influxdb_admin_token
make_secret grafana_password
if [ "${1:-}" = --secrets-only ]; then
    exit 0
fi

docker compose build mysense
docker compose up -d --wait influxdb
./provision.sh reader mysense
./provision.sh reader grafana
echo 'Now: docker compose up -d' >&2
