/* stats.c - the list of stats.h, walked. */
#include "server/core/stats.h"

void stats_each(const struct stats *stats, void (*each)(void *arg, const char *name, int is_count,
                                                        const char *text, uint64_t value), void *arg)
{
    enum { GAUGE, COUNT };
#define STATS_GIVE(name, kind, text) each(arg, #name, kind, text, STAT_GET(stats, name));
    STATS_LIST(STATS_GIVE)
#undef STATS_GIVE
}
