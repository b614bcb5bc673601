# The line of the summary about many connections held at once.
(.held.alive_after_hold // 0) as $idle
| (if .asked.errors == 0 then .asked.connections else 0 end) as $asking
| "| connections held at once | \($idle) idle on the bridge, \($asking) served meanwhile"
    + (if .asked.latency_p99_ms then " (99 % within \(.asked.latency_p99_ms) ms)" else "" end)
    + (if .held.error then "; \(.held.error)" else "" end)
    + (if .asked.error then "; \(.asked.error)" else "" end)
    + " | \($idle + $asking) | | | \(.wanted) | "
    + (if $idle + $asking >= .wanted then "reached" else "not reached" end) + " |"
