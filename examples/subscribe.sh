#!/bin/sh
# Prints the messages of a channel as "event data": subscribe.sh https://HOST/events/CHANNEL [FROM]
#
# FROM is the id of the last message seen, or "earliest"; without it, what comes from now on. It ends when the server says
# no (401, 403, 404), and comes back in every other case.
set -eu
url=$1
head=$(mktemp)
last=$(mktemp)
trap 'rm -f "$head" "$last"' EXIT
trap 'exit 1' INT TERM
printf '%s\n' "${2:-}" >"$last"

# Prints each whole event, and writes its id down, where the loop below finds it.
print_events() {
    id='' event=message data=''
    while IFS= read -r line; do
        case $line in
        'id: '*) id=${line#id: } ;;
        'event: '*) event=${line#event: } ;;
        'data: '*) data="$data${data:+ }${line#data: }" ;;
        '')
            [ -z "$data" ] || printf '%s %s\n' "$event" "$data"
            [ -z "$id" ] || printf '%s\n' "$id" >"$last"
            id='' event=message data=''
            ;;
        esac
    done
}

while :; do
    : >"$head"
    curl --silent --show-error --no-buffer --fail --dump-header "$head" \
        --header 'Accept: text/event-stream' --header "Last-Event-ID: $(cat "$last")" "$url" | print_events
    case $(head -n 1 "$head") in
    HTTP/*' 40'[134]*) exit 1 ;;
    esac
    sleep 2
done
