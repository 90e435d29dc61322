/* proc.c - reads /proc/PID/{stat,status,io}. */
#include "tools/bench/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bench/bench.h"

static void slurp(int pid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "r");
    if (!f) die("process %d is gone (%s)", pid, path);
    size_t len = fread(to, 1, size - 1, f);
    to[len] = '\0';
    fclose(f);
}

/* The number behind "\nNAME" in `text`, 0 when there is none. */
static uint64_t number_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    unsigned long long v = 0;
    if (at) sscanf(at + strlen(name), " %llu", &v);
    return v;
}

void proc_read(int pid, struct proc_use *out)
{
    char text[4096];
    slurp(pid, "stat", text, sizeof text);
    /* The name, in brackets, may hold anything; utime and stime are the 12th and 13th fields behind it. */
    unsigned long long user = 0, sys = 0;
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user, &sys) != 2)
        die("/proc/%d/stat is not as expected", pid);
    out->cpu_ms = (user + sys) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);

    slurp(pid, "status", text, sizeof text);
    out->resident_bytes = number_behind(text, "\nVmRSS:") * 1024;
    slurp(pid, "io", text, sizeof text);
    out->reads = number_behind(text, "\nsyscr:");
    out->writes = number_behind(text, "\nsyscw:");
    out->disk_bytes = number_behind(text, "\nwrite_bytes:");
}

uint64_t folder_bytes(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) die("cannot list %s", folder);
    uint64_t total = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) total += (uint64_t)st.st_size;
    }
    closedir(dir);
    return total;
}
