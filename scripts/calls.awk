# calls.awk -- count the calls in a log of 'strace -f -n -o', for inject.sh
#
# Prints a line for each: the call, its number, how many times the first process
# makes it before the heading of step 1 (that is the loader), how many times in
# all, and the most times that any one of its children makes it.

match($0, /^[0-9]+ +\[ *[0-9]+\] [a-z0-9_]+\(/) {
    split(substr($0, 1, RLENGTH - 1), word, /[][ ]+/)
    if (first == "")
        first = word[1]
    if (!begun && index($0, "] write(1, \"1. ")) {
        begun = 1
        for (call in number)
            before[call] = count[first, call]
    }
    number[word[3]] = word[2]
    n = ++count[word[1], word[3]]
    if (word[1] != first && n > most[word[3]])
        most[word[3]] = n
}

END {
    for (call in number)
        print call, number[call], before[call] + 0, count[first, call] + 0,
            most[call] + 0
}
