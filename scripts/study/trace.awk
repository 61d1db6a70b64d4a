# trace.awk -- prints a table of events (see events.awk) for people
#
# usage: awk [-v only=STEP] -f trace.awk TABLE
#
# What the lab says stands at the margin, its calls are indented, and nothing is
# wider than 80 columns. Equal calls in a row are one, with their number.

BEGIN {
    FS = "\t"
}

$1 == "step" {
    flush()
    step = $2 + 0
    shown = only == "" || step == only
    if (shown)
        print (steps++ ? "\n" : "") $2
}

shown && $1 == "said" {
    flush()
    print $3
}

shown && $1 == "call" {
    if ($2 != role || $3 != call)
        flush()
    role = $2
    call = $3
    times++
}

END {
    flush()
}

# Prints the calls that have come last.
function flush() {
    if (times > 0)
        wrap(sprintf("    %-9s ", role), \
            call (times > 1 ? "   (" times " times)" : ""))
    times = 0
}

# A long call goes on in the next line, indented.
function wrap(head, text,    room, part) {
    room = 80 - length(head)
    while (length(text) > room) {
        part = substr(text, 1, room)
        if (match(part, /^.*[ |]/))
            part = substr(part, 1, RLENGTH)
        text = substr(text, length(part) + 1)
        sub(/ +$/, "", part)
        print head part
        head = sprintf("%18s", "")
        room = 80 - length(head)
    }
    print head text
}
