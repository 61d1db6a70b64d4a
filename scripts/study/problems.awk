# problems.awk -- the rows and items of labs/problems.md that have what is wanted
#
# usage: WANTED=... awk -f wanted.awk -f problems.awk PAGE
#
# Prints a line for each row that fits, or stands below a heading that does: what
# one sees, why, and the lab that shows it, after the error of its heading, if
# only the row fits. Before the rows of a heading that fits comes how to tell
# which of them is meant. And a line for each item that fits of the lists: of
# those of "How to do it right", which are numbered, and of that which has no lab
# (-).

# A text without the targets of its links. A section of PAGE stays in quotes.
function without_targets(text,    label, quote) {
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        label = substr(text, RSTART + 1, RLENGTH - 2)
        quote = label ~ /\]\(#/ ? "\"" : ""
        sub(/\]\(.*/, "", label)
        text = substr(text, 1, RSTART - 1) quote label quote \
            substr(text, RSTART + RLENGTH)
    }
    return text
}

function show_if_wanted(row, words) {
    if (!has_wanted(words))
        return
    gsub(/`/, "", row)
    print "- " row
}

function end_of_text(    item) {
    text = without_targets(text)
    if (text ~ /^- /)
        show_if_wanted(substr(text, 3) " (no lab shows it)", text)
    else if (match(text, /^[0-9]+/)) {
        item = text
        sub(/: `[^`]*`\./, ".", item)
        show_if_wanted("How to do it right, \"" tolower(substr(heading, 5)) \
            "\", " item, text)
    } else if (text != "")
        show_if_wanted(text, heading)
    text = ""
}

/^$/ { end_of_text(); next }

/^([-*]|[0-9]+\.) / {
    end_of_text()
    text = $0
    sub(/^\* /, "", text)
    next
}

/^[^#|]/ { sub(/^ */, ""); text = text (text == "" ? "" : " ") $0 }

/^#/ { heading = $0 }

/^\| / && !/\| shown by \|$/ {
    gsub(/^\| | \|$/, "")
    split(without_targets($0), cell, / \| /)
    sub(/[^.)]$/, "&.", cell[2])
    sub(/^l/, "L", cell[3])
    sub(/: `.*/, ".", cell[3])
    side = heading ~ /on Linux$/ ? "on Linux, " : ""
    error = ""
    if (match(heading, /, E[A-Z0-9]+\)/) && !has_wanted(heading))
        error = substr(heading, RSTART + 2, RLENGTH - 3) ", "
    show_if_wanted(error cell[1] ": " side cell[2] " " cell[3],
        heading " " cell[1] " " cell[2])
}

END { end_of_text() }
