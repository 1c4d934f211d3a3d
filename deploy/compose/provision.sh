#!/bin/sh
# `mysense provision` with the administrator's token; new secrets go to secrets/.
#   ./provision.sh kit BdP test_sense --rollup
# AS=0:0 where containers are run without root on the host (rootless)
set -eu
cd "$(dirname "$0")"
docker compose run --rm -T --user "${AS:-$(id -u):$(id -g)}" provision "$@"
# each container reads its own, whoever it is; the folder keeps everybody else out
chmod 644 secrets/*
