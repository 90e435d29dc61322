/* nearest.c - see nearest.h. */
#include "tools/common/nearest.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { WORD_BYTES_MAX = 32 };    /* longer ones are near to nothing */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters left out, added, changed, and neighbours swapped that lead from one word to the other: the optimal string
 * alignment distance, row by row. */
static size_t distance(const char *from, const char *to)
{
    size_t rows[WORD_BYTES_MAX + 1][WORD_BYTES_MAX + 1];
    size_t m = strlen(from), n = strlen(to);
    for (size_t i = 0; i <= m; i++) rows[i][0] = i;
    for (size_t j = 0; j <= n; j++) rows[0][j] = j;
    for (size_t i = 1; i <= m; i++) {
        for (size_t j = 1; j <= n; j++) {
            size_t best = rows[i - 1][j - 1] + (from[i - 1] != to[j - 1]);
            best = least(best, least(rows[i - 1][j], rows[i][j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            rows[i][j] = swapped ? least(best, rows[i - 2][j - 2] + 1) : best;
        }
    }
    return rows[m][n];
}

const char *nearest(const char *given, const char *const *words)
{
    const char *best = NULL, *begins = NULL;
    size_t len = strlen(given), best_distance = len / 3 > 1 ? len / 3 : 1;
    bool begins_once = len > 0;
    if (len > WORD_BYTES_MAX) return NULL;
    for (; *words; words++) {
        if (strncmp(*words, given, len) == 0) {
            begins_once = begins_once && !begins;
            begins = *words;
        }
        size_t d = strlen(*words) <= WORD_BYTES_MAX ? distance(given, *words) : WORD_BYTES_MAX;
        if (d < best_distance || (d == best_distance && !best)) {
            best = *words;
            best_distance = d;
        }
    }
    return best ? best : begins && begins_once ? begins : NULL;
}
