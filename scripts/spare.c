/*
 * spare.c -- make a lab's first process immune to what strace injects
 *
 * usage: strace -e inject=CALL:...:when=K spare NUMBER K PROGRAM
 *
 * strace counts the calls of each process by itself, and keeps on counting over
 * exec. So K calls of that number that come to nothing, made here, mean that
 * only the children of PROGRAM still have a K-th one. Linked statically: there
 * must be no loader whose own calls would be hit. See strace(1), syscall(2).
 */
#define _GNU_SOURCE    // for syscall
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    if (argc < 4) {
        fprintf(stderr, "usage: spare NUMBER K PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    for (long i = 0, k = atol(argv[2]); i < k; i++)
        (void)syscall(atol(argv[1]), -1L, -1L, -1L, -1L, -1L, -1L);
    execv(argv[3], &argv[3]);
    perror(argv[3]);
    return 2;
}
