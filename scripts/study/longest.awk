# longest.awk -- the longest part of a text that a page has, too
#
# usage: WANTED=TEXT awk [-v least=3] -f longest.awk PAGE
#
# Prints the most words of TEXT, one behind the other, that stand so in PAGE,
# whatever signs are between them; of as many words, the longest ones.
# Two of them, or as many as least says, have to have four letters or more,
# because words such as "of the" stand everywhere; else prints nothing.

function words_only(text) {
    text = tolower(text)
    gsub(/n't/, "nt", text)
    gsub(/[^a-z0-9_]+/, " ", text)
    gsub(/^ | $/, "", text)
    return text
}

{ page = page " " words_only($0) }

END {
    page = page " "
    least = least ? least : 2
    n = split(words_only(ENVIRON["WANTED"]), word, " ")
    for (size = n; size >= least && longest == ""; size--)
        for (first = 1; first + size - 1 <= n; first++) {
            part = ""
            long = 0
            for (i = first; i < first + size; i++) {
                part = part " " word[i]
                long += length(word[i]) >= 4
            }
            if (long >= least && index(page, part " ") &&
                length(part) > length(longest))
                longest = part
        }
    if (longest != "")
        print substr(longest, 2)
}
