# One comparison of `gauge ab` as a table: median (smallest - largest) of each
# field in $ARGS.positional, one line per side.
def cell:
    if . == null then "-"
    elif .min == .max then "\(.median)"
    else "\(.median) (\(.min) - \(.max))" end;

(.sides | map(keys) | add) as $known
| [$ARGS.positional[] | select(. as $field | $known | index($field))] as $fields
| "",
  "### \(.label), \(.rounds) round" + (if .rounds == 1 then "" else "s" end),
  "",
  "| side | " + ($fields | join(" | ")) + " |",
  "|---|" + ($fields | map("---|") | add // ""),
  (.sides | to_entries[]
    | .value as $side
    | "| \(.key) | " + ([$fields[] | $side[.] | cell] | join(" | ")) + " |"),
  (.sides | to_entries[] | select(.value.failed_runs)
    | "", "\(.value.failed_runs) runs of \(.key) failed: \(.value.first_error)")
