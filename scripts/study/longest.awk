# longest.awk -- the longest part of a text that a page has, too
#
# usage: WANTED=TEXT awk -f longest.awk PAGE
#
# Prints the most words of TEXT, one behind the other, that stand so in PAGE,
# whatever signs are between them. Two of them have to have four letters or more,
# because words such as "of the" stand everywhere; else prints nothing.

function words_only(text) {
    text = tolower(text)
    gsub(/[^a-z0-9_]+/, " ", text)
    gsub(/^ | $/, "", text)
    return text
}

{ page = page " " words_only($0) }

END {
    page = page " "
    n = split(words_only(ENVIRON["WANTED"]), word, " ")
    for (size = n; size >= 2; size--)
        for (first = 1; first + size - 1 <= n; first++) {
            part = ""
            long = 0
            for (i = first; i < first + size; i++) {
                part = part " " word[i]
                long += length(word[i]) >= 4
            }
            if (long >= 2 && index(page, part " ")) {
                print substr(part, 2)
                exit
            }
        }
}
