# shellcheck shell=bash
# --- From here on tests/bench.d/lib.sh: Noren as one more peer. ---------------
# To be appended to the lib.sh of the peers; see tests/bench.
export PORT_NOREN=$((GAUGE_BASE + 20))
export NOREN_PUBLISH_TOKEN=of-this-bench-only
eval "peers_$(declare -f port_of)"
port_of() {
    if [[ $1 == noren ]]; then echo "$PORT_NOREN"; else peers_port_of "$1"; fi
}
