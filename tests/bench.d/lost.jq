# The line of the summary about what did not arrive, over all comparisons of hubs:
# the worst round of each side, added up.
def missing($side):
    [.[].sides[$side] // empty | (.lost.max // 0), (.not_subscribed.max // 0)] | add // 0;
def runs($side): [.[].sides[$side] // empty] | length;

(if runs("noren") > 0 then missing("noren") else null end) as $ours
| "| lost messages and clients, of all runs above | count | \($ours // "-") | nchan "
    + (if runs("nchan") > 0 then "\(missing("nchan"))" else "-" end)
    + " | - | 0 | "
    + (if $ours == null then "no figure" elif $ours == 0 then "reached" else "not reached" end) + " |"
