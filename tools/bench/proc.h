/* proc.h - what a process costs, as Linux tells it under /proc. */
#ifndef PIPIT_BENCH_PROC_H
#define PIPIT_BENCH_PROC_H

#include <stdint.h>

struct proc_use {
    uint64_t cpu_ms;          /* user and system, all threads; counted in ticks of 10 ms */
    uint64_t resident_bytes;
    uint64_t reads, writes;   /* system calls of the read and write families, sockets and files alike */
    uint64_t disk_bytes;      /* that it caused to be written to a disk, in whole pages */
};

/* die()s when there is no such process: the server ended under load. */
void proc_read(int pid, struct proc_use *out);
/* Of all files in it, as long as they are (not the blocks they take). */
uint64_t folder_bytes(const char *folder);

#endif
