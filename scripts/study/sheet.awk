# sheet.awk -- makes a sheet of what a lab prints, and reads it again
#
# usage: awk -v show=sheet [-v order=1] -f sheet.awk OUTPUT
#        awk -v show=verdicts [-v order=1] [-v minus_one=1] -f sheet.awk \
#            OUTPUT SHEET
#        awk -v show=beside -v only=3 -f sheet.awk OUTPUT SHEET
#
# OUTPUT is what a lab printed, masked. A sheet is OUTPUT without its results,
# or, with order=1, with the lines of each step in another order. "verdicts" has
# a line for each step: its number and right, right short (it does not say all),
# wrong, open (as it was handed out) or given (there was nothing to predict); or
# one line that says "damaged" and why. "you" and "is" are the lines of one step
# in the sheet and in OUTPUT; two lines that mean the same are written the same
# there. "beside" has each line of the one beside that of the other, or nothing
# if they have not as many. With minus_one=1, -1 is as good as an error.

# A line without what matches the pattern: a text, a list, the arguments of a
# call are not to be taken apart. unstash() puts them back.
function stash(line, pattern, kind) {
    while (match(line, pattern)) {
        stashed[++stashes] = substr(line, RSTART, RLENGTH)
        line = substr(line, 1, RSTART - 1) kind stashes kind \
            substr(line, RSTART + RLENGTH)
    }
    return line
}

function unstash(line,    what) {
    while (match(line, /[\001\002][0-9]+[\001\002]/)) {
        what = stashed[substr(line, RSTART + 1, RLENGTH - 2) + 0]
        line = substr(line, 1, RSTART - 1) what substr(line, RSTART + RLENGTH)
    }
    return line
}

# A number, a NAME (B is a unit), a text or a list.
function is_value(word) {
    return word ~ /^-?[0-9][0-9.]*$/ || word ~ /^\001/ ||
        (word ~ /^[A-Z][A-Z0-9_]*$/ && word != "B")
}

# The words, with a ? for their values, one for those in a row.
function without_values(words,    n, i, word, front, back, last, result) {
    n = split(words, word, " ")
    for (i = 1; i <= n; i++) {
        front = sub(/^\(/, "", word[i]) ? "(" : ""
        back = sub(/\)$/, "", word[i]) ? ")" : ""
        word[i] = front (is_value(word[i]) ? "?" : word[i]) back
        if (word[i] != "?" || last != "?")
            result = result (i > 1 ? " " : "") word[i]
        last = word[i]
    }
    return result
}

# One part of a result, such as ' = 3 "red" from "ann"', ' pid: own' or
# ' msg_flags 0'. What follows its last mark is a value, even if it is in words.
function without_result(part,    label, value, result) {
    match(part, /^(.*( =|:| ->|, answer))? /)
    label = substr(part, 1, RLENGTH)
    value = substr(part, RLENGTH + 1)
    result = without_values(value)
    if (result == value && label != " ")
        result = "?"
    gsub(/[0-9]+ ->/, "? ->", label)
    return label result
}

# The name of the call that a line of evidence begins with, if there is one.
function call_in(line) {
    sub(/^[^ ]+ +/, "", line)
    return match(line, /^[a-z]+\(/) ? substr(line, 1, RLENGTH - 1) : ""
}

# Is this a call that only prepares, or cleans up, and succeeds?
function prepares(line) {
    return line ~ /\) = 0$/ && !(call_in(line) in failed) && call_in(line) ~ \
        /^(socketpair|close|unlink|listen|mount|chdir|f?chmod|symlink|setrlimit)$/
}

# A line of evidence with a ? for each result. What is about to happen has none,
# and nobody can know what will be measured. What prepares is no question.
function blank(line,    head, tail, end) {
    if (line ~ /\.\.\.$/ || line ~ /^~/ || prepares(line) ||
        sub(/ -> (exited|killed): [^ ]+$/, " -> ?", line))
        return line
    line = stash(line, "\"([^\"\\\\]|\\\\.)*\"", "\001")
    line = stash(line, "[^ ]\\([^()]*\\)", "\002")
    if (!match(line, / = |: | -> |, answer | \001/))
        return unstash(line)
    head = substr(line, 1, RSTART - 1)
    tail = stash(substr(line, RSTART), "\\[[^][]*\\]", "\001")
    while (match(tail, /.[,;] /)) {
        end = RSTART
        head = head without_result(substr(tail, 1, end)) \
            substr(tail, end + 1, 1)
        tail = substr(tail, end + 2)
    }
    return unstash(head without_result(tail))
}

# Lines without the blanks that do not matter.
function squeeze(text) {
    gsub(/[ \t]+/, " ", text)
    gsub(/^ | $/, "", text)
    gsub(/ ?\n ?/, "\n", text)
    return text
}

# Puts the n texts of the list in the order of the alphabet.
function sort(list, n,    i, j, text) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
            text = list[j]
            list[j] = list[j - 1]
            list[j - 1] = text
        }
}

# A line with its POLL words, EPOLL words or flags of open() in the order of the
# alphabet, with a blank between them.
function sorted_words(line,    n, i, word, text, rest) {
    if (!match(line, /(E?POLL|O_)[A-Z]+([ |,]+(E?POLL|O_)[A-Z]+)+/))
        return line
    text = substr(line, RSTART, RLENGTH)
    rest = substr(line, RSTART + RLENGTH)
    line = substr(line, 1, RSTART - 1)
    n = split(text, word, /[ |,]+/)
    sort(word, n)
    for (i = 1; i <= n; i++)
        line = line (i > 1 ? " " : "") word[i]
    return line sorted_words(rest)
}

# A line without quotes, brackets, capitals and "bytes", and an error without -1
# and without its text. A text of 0 bytes is 0.
function plain(line) {
    gsub(/(0 (bytes )?)?""/, "0", line)
    if (match(line, / = (-1 )?[Ee][A-Za-z0-9]+,? "[^"]*"$/))
        sub(/,? "[^"]*"$/, "", line)
    gsub(/-1 [Ee]/, "e", line)
    gsub(/ bytes?/, "", line)
    sub(/\) -> /, ") = ", line)
    line = sorted_words(line)
    gsub(/: = /, ": ", line)
    gsub(/["[\]]/, "", line)
    gsub(/ *, */, ",", line)
    line = tolower(squeeze(line))
    sub(/ = (eof|end of file)$/, " = 0", line)
    gsub(/ewouldblock/, "eagain", line)
    return line
}

# Without the count of bytes in front of a text, or of a list, and without that
# of descriptors in front of an event.
function without_counts(line) {
    gsub(/[0-9]+ (bytes )?"/, "\"", line)
    gsub(/[0-9]+ \[/, "[", line)
    gsub(/[0-9]+ POLL/, "POLL", line)
    return line
}

# Without the text behind a count of bytes, if the step has no other text that
# is as long: then the count does not tell which. And without POLLIN if it is
# alone. With minus_one=1 also without the name behind -1.
function without_texts(step, line,    done, count, text) {
    while (match(line, /[0-9]( bytes)? "([^"\\]|\\.)*"/)) {
        count = text = substr(line, RSTART, RLENGTH)
        sub(/ ".*/, "", count)
        sub(/^[^"]*/, "", text)
        done = done substr(line, 1, RSTART - 1) count
        if (texts[step, length(text)] > 1)
            done = done " " text
        line = substr(line, RSTART + RLENGTH)
    }
    line = done line
    sub(/ = 1 POLLIN$/, " = 1", line)
    if (minus_one)
        gsub(/-1 E[A-Z0-9]+/, "-1", line)
    return line
}

# Without the figures that are measured.
function masked(line) {
    gsub(/[0-9]+/, "#", line)
    return line
}

# Does a line of the sheet mean what this line of the output says? '3 "red"',
# '3 red', '"red"', 'red' and '3' are the same; so are '6' and '6 bytes',
# '-1 EAGAIN' and 'eagain', and '1 POLLIN', 'POLLIN' and '1'. The words of poll()
# may be in another order, and with | or a comma between them.
function means(step, line, wanted) {
    if (wanted ~ /^~/)
        return masked(plain(line)) == masked(plain(wanted))
    line = plain(line)
    return line == plain(wanted) || line == plain(without_texts(step, wanted)) ||
        line == plain(without_counts(wanted))
}

function add(sheet, step, line) {
    lines[sheet, step] = lines[sheet, step] line "\n"
}

# The lines of a step in the sheet. One that means a line of the output, which
# no line before it has meant, is written as it is there. So the step is right
# if each of its lines means the one that is in its place.
function read_step(step,    i, j, n, line, taken) {
    n = split(lines["sheet", step], line, "\n") - 1
    for (i = 1; i <= n; i++) {
        for (j = 1; j <= count[step]; j++)
            if (!(j in taken) && means(step, line[i], evidence[step, j]))
                break
        if (j <= count[step]) {
            taken[j] = 1
            if (plain(line[i]) != plain(evidence[step, j]))
                short[step] = 1
            line[i] = evidence[step, j]
        }
        lines["you", step] = lines["you", step] line[i] "\n"
    }
}

# Only a call that succeeds has "->", so it would say too much on the sheet.
function without_arrow(line) {
    sub(/\) -> \?$/, ") = ?", line)
    return line
}

# The step as it is handed out to be filled in: lines that have become the same
# are one, because their number may be what is to be predicted.
function hand_out_blanks(step,    i, line, last) {
    for (i = 1; i <= count[step]; i++) {
        line = without_arrow(blank(evidence[step, i]))
        if (line != last || line == evidence[step, i])
            add("handed", step, line)
        last = line
    }
}

# The step as it is handed out to be put in order: in that of the alphabet; if
# that is the right one, the first line goes to the end.
function hand_out_order(step,    i, n, line) {
    n = count[step]
    for (i = 1; i <= n; i++)
        line[i] = evidence[step, i]
    sort(line, n)
    for (i = 1; i <= n; i++)
        add("handed", step, line[i])
    if (lines["handed", step] != lines["is", step])
        return
    lines["handed", step] = ""
    for (i = 1; i <= n; i++)
        add("handed", step, line[i % n + 1])
}

# A line without its results.
function before_result(line) {
    sub(/( = |: | -> ).*/, "", line)
    return squeeze(line)
}

# What was predicted, as it was typed, and what is, line by line; nothing if
# they are other lines.
function beside(step,    i, n, m, you, is) {
    n = split(lines["sheet", step], you, "\n") - 1
    m = split(lines["is", step], is, "\n") - 1
    for (i = 1; i <= n || i <= m; i++)
        if (before_result(you[i]) != before_result(is[i]))
            return
    for (i = 1; i <= n; i++)
        if (means(step, you[i], is[i]))
            print " " is[i]
        else {
            print "-" you[i] "\n+" is[i]
            if (plain(you[i]) == plain(without_texts("", is[i])))
                print " (which text? this step has several of this length)"
        }
}

function hand_out(step) {
    if (order)
        hand_out_order(step)
    else
        hand_out_blanks(step)
}

function verdict(step,    sheet) {
    hand_out(step)
    sheet = squeeze(lines["sheet", step])
    if (lines["handed", step] == lines["is", step])
        return "given"
    if (sheet == squeeze(lines["handed", step]))
        return "open"
    if (lines["you", step] != lines["is", step])
        return "wrong"
    return step in short ? "right short" : "right"
}

FNR == 1 {
    sheet = NR == 1 ? "is" : "sheet"
    step = ""
}

{ sub(/\r$/, "") }

/^#/ || NF == 0 { next }

/^[0-9]+\.( |$)/ {
    step = $1 + 0
    steps[sheet] = steps[sheet] " " step
    question[step] = $0
    next
}

step == "" { next }

{ add(sheet, step, $0) }

# How many texts of the step, such as have letters, have this length?
function count_texts(line,    text) {
    while (match(line, /"([^"\\]|\\.)*"/)) {
        text = substr(line, RSTART, RLENGTH)
        if (text ~ /[A-Za-z]/ && !((step, text) in counted))
            texts[step, RLENGTH]++
        counted[step, text] = 1
        line = substr(line, RSTART + RLENGTH)
    }
}

sheet == "is" {
    evidence[step, ++count[step]] = $0
    count_texts($0)
    if (/\) = / && !/\) = 0$/)
        failed[call_in($0)] = 1
}

END {
    if (!("sheet" in steps))
        steps["sheet"] = " (none)"
    if (show == "verdicts" && steps["sheet"] != steps["is"]) {
        print "damaged it has the steps" steps["sheet"] \
            ", and the lab has" steps["is"]
        exit
    }
    n = split(steps["is"], number, " ")
    for (i = 1; i <= n; i++) {
        step = number[i]
        read_step(step)
        if (show == "verdicts")
            print step, verdict(step)
        else if (show == "sheet") {
            hand_out(step)
            printf "\n%s\n%s", question[step], lines["handed", step]
        } else if (step == only && show == "beside")
            beside(step)
        else if (step == only)
            printf "%s", lines[show, step]
    }
}
