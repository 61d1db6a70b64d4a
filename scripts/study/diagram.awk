# diagram.awk -- draws a table of events (see messages.awk) as sequence diagrams
#
# usage: awk [-v only=STEP] [-v form=svg] -f diagram.awk TABLE TABLE
#
# A diagram for each step, as text in 80 columns, or all of them as one SVG.
# Each role has a line from top to bottom, and each event is a row. The table is
# read twice: a message is drawn when it is sent, and by then it has to be known
# who will receive it, and when.

BEGIN {
    FS = "\t"
}

# ---- First reading: who receives what, and in which order the roles speak.

NR == FNR {
    if ($1 == "said")
        place_of($2)
    if ($1 == "got") {
        n = split($3, part, ",")
        for (i = 1; i <= n; i++)
            if (!receipts[part[i]]++)
                receiver[part[i]] = $2
    }
    next
}

function place_of(who) {
    if (!(who in place)) {
        place[who] = ++places
        role_at[places] = who
    }
}

# ---- Second reading: the events of a step, and at its end its diagram.

$1 == "step" {
    draw()
    question = $2
    step = $2 + 0
}

# An end that nobody sees is left out.
$1 == "sent" || ($1 == "ends" && receipts[$3]) {
    event("sent", $2, $3, $4)
}

$1 == "got" {
    event("got", $2, $3, $4)
}

$1 == "fails" {
    event("fails", $2, "", $3)
}

END {
    draw()
    if (form == "svg")
        print_page()
}

function event(what, who, which, label) {
    events++
    kind[events] = what
    role[events] = who
    ids[events] = which
    text[events] = label
    times[events] = 1
    place_of(who)
    if (what == "sent") {
        step_of[which] = step
        sender[which] = who
    }
}

# Messages are numbered in each step, whether it is drawn or not: a later step
# may receive them.
function draw(    i) {
    number_messages()
    if (question != "" && (only == "" || step == only)) {
        join_arrows()
        merge_equals()
        merge_blocks()
        set_columns()
        begin_step()
        for (i = 1; i <= events; i++)
            draw_event(i)
        end_step()
    }
    question = ""
    events = 0
}

# What another role receives at once, and nobody else, is one arrow. Any other
# message has a number in brackets while it is on its way.
function number_messages(    i, n) {
    for (i = 1; i <= events; i++) {
        if (kind[i] == "sent" && i < events && kind[i + 1] == "got" &&
            ids[i + 1] == ids[i] && receipts[ids[i]] == 1 &&
            role[i + 1] != role[i])
            kind[i] = "arrow"
        else if (kind[i] == "sent")
            number[ids[i]] = ++n
    }
}

function copy_event(from, to) {
    kind[to] = kind[from]
    role[to] = role[from]
    other[to] = other[from]
    ids[to] = ids[from]
    text[to] = text[from]
    times[to] = times[from]
    block[to] = 0
}

# An arrow and its receipt become one event. The other role of a message is the
# one that receives it, or that has sent it.
function join_arrows(    i, n) {
    for (i = 1; i <= events; i++) {
        copy_event(i, ++n)
        other[n] = kind[i] == "got" ? sender[ids[i] + 0] : receiver[ids[i]]
        if (kind[i] == "arrow") {
            i++
            other[n] = role[i]
            if (text[i] != text[n])
                text[n] = text[n] " -> " text[i]
        }
    }
    events = n
}

# Equal events in a row become one.
function merge_equals(    i, n) {
    for (i = 1; i <= events; i++) {
        if (n > 0 && equal(i, n)) {
            ids[n] = ids[n] (ids[n] == "" || ids[i] == "" ? "" : ",") ids[i]
            times[n]++
        } else {
            copy_event(i, ++n)
        }
    }
    events = n
}

function equal(i, j) {
    return kind[i] == kind[j] && role[i] == role[j] && text[i] == text[j] &&
        other[i] == other[j]
}

# Up to six events that come again and again in the same order, three times at
# least, are shown once.
function merge_blocks(    i, k, n, size, count, best) {
    for (i = 1; i <= events; i += best * count) {
        best = count = 1
        for (size = 2; size <= 6; size++) {
            k = repeats(i, size)
            if (k >= 3 && (k - 1) * size > (count - 1) * best) {
                best = size
                count = k
            }
        }
        for (k = 0; k < best; k++)
            copy_event(i + k, ++n)
        if (count > 1) {
            block[n] = best
            blocks[n] = count
        }
    }
    events = n
}

# How often the events from i on, so many, are there, one after the other.
function repeats(i, size,    k) {
    for (k = i + size; k <= events; k++)
        if (!equal(k, k - size) || times[k] != times[k - size])
            break
    return int((k - i) / size)
}

# The roles that act in this step, in the order in which they first speak.
function set_columns(    i, p, who, acts, longest) {
    for (i = 1; i <= events; i++) {
        acts[role[i]] = 1
        if (kind[i] == "arrow")
            acts[other[i]] = 1
        if (length(marks(i)) > longest)
            longest = length(marks(i))
    }
    columns = 0
    for (p = 1; p <= places; p++) {
        who = role_at[p]
        column[who] = who in acts ? ++columns : 0
        if (who in acts)
            name[columns] = who
    }
    gap = columns <= 2 ? 16 : columns == 3 ? 12 : 10
    if (gap < longest + 6)
        gap = longest + 6
    if (columns > 1 && gap > 50 / (columns - 1))    # or labels had no room
        gap = int(50 / (columns - 1))
    label_at = x(columns) + 4
    for (i = 1; i <= events; i++)
        if (column[role[i]] == columns && marks(i) != "" &&
            (!column[other[i]] || column[other[i]] == columns) &&
            label_at < x(columns) + length(marks(i)) + 4)
            label_at = x(columns) + length(marks(i)) + 4
}

# Where the line of a column stands.
function x(c) {
    return 7 + (c - 1) * gap
}

# The numbers of the messages of an event: [3], or [1,3-5]; [2.1] is one of step
# 2, and [?] one of which the log does not tell.
function marks(i,    n, part, k, result, last, value) {
    if (kind[i] != "sent" && kind[i] != "got")
        return ""
    n = split(ids[i], part, ",")
    for (k = 1; k <= n; k++) {
        value = number[part[k]]
        if (step_of[part[k]] != step) {
            result = result "," step_of[part[k]] "." value
        } else if (last && value == last + 1) {
            sub(/(-[0-9]+)?$/, "-" value, result)
        } else if (value != last) {
            result = result "," value
        }
        last = step_of[part[k]] == step ? value : 0
    }
    return n == 0 ? "[?]" : "[" substr(result, 2) "]"
}

function draw_event(i,    at, to, mark) {
    at = x(column[role[i]])
    to = column[other[i]] ? x(column[other[i]]) : 0
    mark = marks(i)
    begin_row()
    if (kind[i] == "arrow") {
        shaft(at, to, 0)
    } else if (kind[i] == "fails") {
        cross(at)
    } else if (kind[i] == "sent" && to > at) {
        shaft(at, to - 2 - length(mark), 1)
        box(to - 2 - length(mark), mark)
    } else if (kind[i] == "sent" && to > 0 && to < at) {
        shaft(at, to + 2 + length(mark), 1)
        box(to + 3, mark)
    } else if (kind[i] == "sent") {
        shaft(at, at + 3, 1)
        box(at + 3, mark)
    } else if (to < at) {
        shaft(at - 3, at, 0)
        box(at - 2 - length(mark), mark)
    } else {
        shaft(at + 3, at, 0)
        box(at + 3, mark)
    }
    end_row((times[i] > 1 ? times[i] " x " : "") text[i])
    if (block[i]) {
        begin_row()
        end_row("(" blocks[i] " x these " block[i] ")")
    }
}

# A label in as many rows as it needs.
function end_row(label,    room, part) {
    room = label_at < 70 ? 80 - label_at + 1 : 11
    while (length(label) > room) {
        part = substr(label, 1, room)
        if (match(part, /^.* /))
            part = substr(part, 1, RLENGTH)
        label = substr(label, length(part) + 1)
        sub(/ +$/, "", part)
        print_row(part)
        begin_row()
    }
    print_row(label)
}

# ---- A row of text: the lines of the roles, and over them what happens. In an
# SVG a character is 11 pixels wide, and a row 30 high.

function begin_step(    c) {
    y += 60
    body = ""
    if (form == "svg")
        page = page sprintf("<text class=\"question\" x=\"22\" y=\"%d\">%s" \
            "</text>\n", y, xml(question))
    else
        print (steps++ ? "\n" : "") question "\n"
    y += 50
    if (columns == 0)
        return
    top = y - 12
    row = ""
    for (c = 1; c <= columns; c++)
        head(x(c), substr(name[c], 1, gap - 1))
    if (form != "svg")
        print row
    begin_row()
    print_row("")
    y += 8
}

function end_step(    c) {
    if (columns == 0) {
        label_at = 5
        y -= 16
        print_row("(no message)")
    }
    if (form != "svg")
        return
    for (c = 1; c <= columns; c++)
        page = page sprintf("<path class=\"role\" d=\"M%d,%d V%d\"/>\n", \
            11 * x(c), top, y)
    page = page body
}

function head(at, who) {
    over(at - int((length(who) - 1) / 2), who)
    body = body sprintf("<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" " \
        "height=\"30\" rx=\"4\"/>\n<text class=\"mark\" x=\"%d\" y=\"%d\">%s" \
        "</text>\n", 11 * at - 5.5 * length(who) - 8, y - 34, \
        11 * length(who) + 16, 11 * at, y - 13, xml(who))
}

function begin_row(    c) {
    row = ""
    for (c = 1; c <= columns; c++)
        over(x(c), "|")
}

function print_row(label) {
    if (form != "svg") {
        if (label != "")
            over(label_at, label)
        print row
    } else if (label != "") {
        body = body sprintf("<text x=\"%d\" y=\"%d\">%s</text>\n", \
            11 * label_at, y + 6, xml(label))
    }
    row = ""
    y += label == "" ? 8 : 30
}

function over(at, what) {
    row = sprintf("%-*s", at - 1, substr(row, 1, at - 1)) what \
        substr(row, at + length(what))
}

# An arrow from one place to another, which is a box if to_box.
function shaft(from, to, to_box,    side, tip) {
    side = from < to ? 1 : -1
    if (from < to)
        over(from + 1, dashes(to - from - 2) ">")
    else
        over(to + 1, "<" dashes(from - to - 2))
    tip = 11 * to - side * (to_box ? 7 : 1)
    body = body sprintf("<path class=\"arrow\" d=\"M%d,%d H%d\"/>\n" \
        "<path class=\"tip\" d=\"M%d,%d l%d,-7 v14 z\"/>\n", \
        11 * from, y, tip - side * 8, tip, y, -side * 12)
}

function dashes(n,    line) {
    while (n-- > 0)
        line = line "-"
    return line
}

# The number of a message that is on its way.
function box(at, mark,    width) {
    over(at, mark)
    width = 11 * (length(mark) - 1) + 12
    body = body sprintf("<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" " \
        "height=\"24\" rx=\"12\"/>\n<text class=\"mark\" x=\"%d\" y=\"%d\">%s" \
        "</text>\n", 11 * at - 6, y - 12, width, 11 * at - 6 + width / 2, \
        y + 6, xml(substr(mark, 2, length(mark) - 2)))
}

function cross(at) {
    over(at, "x")
    body = body sprintf("<path class=\"cross\" d=\"M%d,%d l16,16 m0,-16 " \
        "l-16,16\"/>\n", 11 * at - 8, y - 8)
}

function xml(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# The whole SVG: black on white, or white on black where all is dark.
function print_page() {
    print "<svg xmlns=\"http://www.w3.org/2000/svg\""
    print "     viewBox=\"0 0 910 " y + 30 "\">"
    print "<style>"
    print "text { font: 18px 'DejaVu Sans Mono', Menlo, Consolas, monospace;"
    print "       fill: #111 }"
    print ".question { font-weight: bold }"
    print ".mark { text-anchor: middle }"
    print ".paper { fill: #fff }"
    print ".role { stroke: #777; stroke-width: 2; fill: none }"
    print ".box { fill: #fff; stroke: #777; stroke-width: 2 }"
    print ".arrow { stroke: #05c; stroke-width: 3; fill: none }"
    print ".tip { fill: #05c }"
    print ".cross { stroke: #b00; stroke-width: 4; fill: none }"
    print "@media (prefers-color-scheme: dark) {"
    print "    text { fill: #fff }"
    print "    .paper, .box { fill: #111 }"
    print "    .role, .box { stroke: #aaa }"
    print "    .arrow { stroke: #7bf }"
    print "    .tip { fill: #7bf }"
    print "    .cross { stroke: #f87 }"
    print "}"
    print "</style>"
    print "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>"
    printf "%s</svg>\n", page
}
