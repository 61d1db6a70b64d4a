# find.awk -- the evidence that has what is wanted, and the answers to it
#
# usage: WANTED=... awk [-v places=1] -f wanted.awk -f find.awk \
#            expected/*.txt labs/*/*.md
#
# What is wanted has to be in one line, answer or paragraph. Prints the
# lines of evidence under their questions, then the answers to these questions,
# and the other answers that have what is wanted. If there is nothing of these,
# prints the paragraphs that have it. Fails if there are none, either. With
# places=1 it does not print answers and paragraphs, but only where they are,
# and with places=2 no evidence, either.

# A question, once, and a line of evidence, once below it.
function show_evidence(line) {
    if (places < 2 && !(step in hit))
        printf "%s%s, %s\n", shown++ ? "\n" : "", title, question
    if (places < 2 && line != question && !((step, line) in hit))
        print line
    hits++
    hit[step] = hit[step, line] = 1
}

# Where the answers are: a line for each page, with its steps.
function place(    number) {
    number = step
    gsub(/^.* |\.$/, "", number)
    found_at = found_at (page == last_page ? ", " : "\n" page ", step ") number
    last_page = page
}

# What has been read of a page is the answer of a step, or a paragraph.
function end_of_part() {
    sub(/\n+$/, "", part)
    if (part != "" && step == "" && has_wanted(part)) {
        others = others "\n\n" page ":\n" part
        if (page != last_other)
            pages = pages "\n" page
        last_other = page
    } else if (part != "" && (step in hit || has_wanted(part))) {
        if (places)
            place()
        else
            printf "%s%s:\n%s\n", hits ? "\n" : "", page, part
        hits++
    }
    part = step = ""
}

FNR == 1 {
    end_of_part()
    page = name = FILENAME
    gsub(/^[a-z]*\/|[.\/].*/, "", name)
    title = "Lab " (name + 0)
    section = fenced = ""
}

page ~ /^expected/ {
    if (/^[0-9]+\. /) {
        step = name " " $1
        question = $0
    }
    if (NF && has_wanted($0))
        show_evidence($0)
    next
}

/^```/ { fenced = !fenced; next }

fenced { next }

/^## / { end_of_part(); section = $0; next }

section == "" && page ~ /answers/ {
    if (/^[0-9]+\. /) {
        end_of_part()
        step = name " " $1
    }
}

# Behind a blank line, an answer goes on if the next line is indented.
step == "" ? NF == 0 : part ~ /\n\n$/ && /^[^ ]/ { end_of_part() }

part != "" || NF > 0 { part = part $0 "\n" }

END {
    end_of_part()
    if (found_at)
        print (shown ? "\n" : "") "The answers:" found_at
    if (hits == 0)
        print places ? substr(pages, 2) : substr(others, 3)
    exit hits == 0 && others == ""
}
