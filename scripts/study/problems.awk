# problems.awk -- the rows and items of labs/problems.md that have what is wanted
#
# usage: WANTED=... awk -f wanted.awk -f problems.awk PAGE
#
# PAGE is the page without the targets of its links. Prints a line for each row
# that fits, or stands below a heading that does: what one sees, why, and the
# lab that shows it; and for each item of the list, which has no lab.

function show_if_wanted(row, words) {
    if (!has_wanted(words))
        return
    gsub(/`/, "", row)
    print "- " row
}

function end_of_item() {
    if (item != "")
        show_if_wanted(item " (no lab shows it)", item)
    item = ""
}

item != "" && /^ / { sub(/^ */, " "); item = item $0; next }

{ end_of_item() }

/^- / { item = substr($0, 3) }

/^#/ { heading = $0 }

/^\| / && !/\| shown by \|$/ {
    gsub(/^\| | \|$/, "")
    split($0, cell, / \| /)
    sub(/[^.)]$/, "&.", cell[2])
    sub(/^l/, "L", cell[3])
    sub(/: `.*/, ".", cell[3])
    show_if_wanted(cell[1] ": " cell[2] " " cell[3],
        heading " " cell[1] " " cell[2])
}

END { end_of_item() }
