# One line of the summary. The ratio of $side to $peer is in `ratio_to_PEER`, or
# upside down in `ratio_to_SIDE`: its range then changes ends.
def digits: . as $x
    | if $x == 0 then 0
      else (($x | fabs | log10 | floor) as $power
        | pow(10; (if $power >= 3 then 0 else 2 - $power end)) as $scale
        | ($x * $scale | round) / $scale) end;
def ratio:
    .["ratio_to_\($peer)"][$side][$field]
    // (.["ratio_to_\($side)"][$peer][$field]
        | if . then {median: (1 / .median), min: (1 / .max), max: (1 / .min)} else null end);
def verdict($figure):
    if $figure == null then "no figure"
    elif $figure.max <= $target then "reached"
    elif $figure.min > $target then "not reached"
    elif $figure.median <= $target then "reached in the median"
    else "not reached in the median" end;

.sides[$side][$field] as $ours
| .sides[$peer][$field] as $theirs
| ratio as $ratio
| (if $kind == "ratio" then $ratio
   elif $kind == "value" and $ours then $ours | map_values(. * $scale)
   else null end) as $judged
| [ $text,
    $unit,
    (if $ours then $ours.median * $scale | digits else "-" end),
    (if $theirs then "\($peer) \($theirs.median * $scale | digits)" else "\($peer) -" end),
    (if $ratio then "\($ratio.median | digits) (\($ratio.min | digits) - \($ratio.max | digits))" else "-" end),
    (if $kind == "ratio" then "ratio \($target)" elif $kind == "value" then "\($target) \($unit)" else "" end),
    (if $kind == "none" then "" else verdict($judged) end)
  ]
| "| " + (map(tostring) | join(" | ")) + " |"
