# wanted.awk -- does a text have what is wanted?
#
# usage: WANTED=... awk -f wanted.awk -f find.awk ... (or problems.awk)
#
# WANTED is a pattern in small letters, or several, each on a line of its own:
# then all of them have to be in the text.

function has_wanted(words,    i) {
    gsub(/[`*]/, "", words)
    gsub(/[ \t\n]+/, " ", words)
    gsub(/ %/, "%", words)
    words = tolower(words)
    gsub(/n't/, "nt", words)
    for (i = 1; i <= patterns; i++)
        if (words !~ pattern[i])
            return 0
    return 1
}

BEGIN { patterns = split(ENVIRON["WANTED"], pattern, "\n") }
