# calls.awk -- count the calls in a log of 'strace -f -n -o', for inject.sh
#
# Prints a line for each call of each process: who makes it (0 is the first, 1
# its child that was born first, and so on), the call, its number, the first and
# the last time that counts, and how many times any other process makes it, at
# most. What the first process does before the heading of step 1 does not count:
# that is the loader.

match($0, /^[0-9]+ +\[ *[0-9]+\] [a-z0-9_]+\(/) {
    split(substr($0, 1, RLENGTH - 1), word, /[][ ]+/)
    if (first == "")
        first = word[1]
    if (!begun && index($0, "] write(1, \"1. ")) {
        begun = 1
        for (call in number)
            before[call] = count[first, call]
    }
    processes[word[1]]
    number[word[3]] = word[2]
    ++count[word[1], word[3]]
}

function who(process,    other, older) {
    for (other in processes)
        older += other + 0 < process + 0
    return process == first ? 0 : older
}

function most_of_others(process, call,    other, most) {
    for (other in processes)
        if (other != process && count[other, call] > most)
            most = count[other, call]
    return most + 0
}

END {
    for (process in processes)
        for (call in number)
            if (count[process, call] > 0)
                print who(process), call, number[call], \
                    process == first ? before[call] + 1 : 1, \
                    count[process, call], most_of_others(process, call)
}
