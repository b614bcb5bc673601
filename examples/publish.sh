#!/bin/sh
# Publishes one message: publish.sh https://HOST/events/CHANNEL TEXT
#
# The token comes from the environment, NOREN_TOKEN. curl sends the message again while the server is away or has no room;
# the id makes that harmless. With an admin socket on this machine, `noren publish CHANNEL TEXT` is all you need.
set -eu
url=$1
text=$2

# --config takes the token from standard input, so that the list of processes does not show it.
printf 'header = "Authorization: Bearer %s"\n' "$NOREN_TOKEN" |
    curl --config - --silent --show-error --fail-with-body --retry 10 --retry-connrefused \
        --header 'Content-Type: text/plain; charset=utf-8' \
        --header "Idempotency-Key: \"$(cat /proc/sys/kernel/random/uuid)\"" \
        --data-raw "$text" "$url"
