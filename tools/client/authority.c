/* authority.c - see authority.h. */
#include "tools/client/authority.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *authority_kept(const char *home, char path[static HOME_PATH_MAX + 16])
{
    int len = snprintf(path, HOME_PATH_MAX + 16, "%s/ca.pem", home);
    return len > 0 && len < HOME_PATH_MAX + 16 && access(path, R_OK) == 0 ? path : NULL;
}

/* 0, or an errno value. */
static int copy(FILE *from, FILE *to)
{
    char piece[4096];
    size_t n, all = 0;
    while ((n = fread(piece, 1, sizeof piece, from)) > 0) {
        all += n;
        if (all > AUTHORITY_BYTES_MAX) return EFBIG;
        if (fwrite(piece, 1, n, to) != n) return errno;
    }
    return ferror(from) || fflush(to) != 0 ? errno : 0;
}

int authority_keep(const char *home, const char *file)
{
    char path[HOME_PATH_MAX + 16], part[HOME_PATH_MAX + 32];
    (void)authority_kept(home, path);
    snprintf(part, sizeof part, "%s.new", path);
    FILE *from = fopen(file, "re"), *to = from ? fopen(part, "we") : NULL;
    int number = to ? 0 : errno;
    if (!number) number = copy(from, to);
    if (from) fclose(from);
    if (to && fclose(to) != 0 && !number) number = errno;
    if (!number && rename(part, path) != 0) number = errno;
    if (number) (void)unlink(part);
    return number;
}
