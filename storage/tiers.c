/* tiers.c - which sorted tables are merged next. See tiers.h and keep.h.
 *
 * Tiers bound both numbers that count. A merge of a tier has a result that stands a tier higher: a byte is rewritten
 * once for each tier it passes. And a stretch of tables none of which is above a tier keeps fewer than KEEP_FANIN of
 * that tier. Smaller tables between them, and at the ends, go along: they cost little and would stay behind for ever
 * once larger ones stand on both sides.
 *
 * The lowest tier has no lower end. Tables of it may be rewritten while they stay in it, which is some KiB each time:
 * what restarts leave. The highest ends at KEEP_BYTES_MAX: what would grow beyond is not merged.
 *
 * When idle the account decides. Each byte appended may be written KEEP_AMPLIFICATION_MAX times. What is not used yet
 * is spent on fewer tables, as many fewer at once as can be, but one rewriting of everything is always left over: for
 * the next tier, or for what is due. So a store that rests settles at one table where its history was cheap. */
#include "storage/tiers.h"

#include "storage/sorted.h"

/* Below that of a sorted segment: of 64 MiB, 32 to 256 MiB sorted, down to what is below 64 KiB. */
enum { TIERS_BELOW = 4 };

struct run { size_t first, count; };

unsigned tiers_of(uint64_t bytes, uint64_t segment_bytes)
{
    /* A sorted segment takes a half to all of the unsorted one. */
    uint64_t end = segment_bytes / 2;
    for (int i = 0; i + 1 < TIERS_BELOW; i++)
        end /= KEEP_FANIN;
    if (end == 0)
        end = 1;
    unsigned tier = 0;
    while (bytes >= end && end < KEEP_BYTES_MAX) {
        end *= KEEP_FANIN;
        tier++;
    }
    return tier;
}

/* How many tables from `first` on, before `end`, one merge can take. *bytes_out: their bytes. */
static size_t reach(const struct tiers_table *tables, size_t first, size_t end, uint64_t room, uint64_t *bytes_out)
{
    uint64_t bytes = 0, spans = 0;
    size_t at = first;
    for (; at < end && at - first < KEEP_INPUTS_MAX; at++) {
        const struct tiers_table *table = &tables[at];
        if (table->bytes > room - bytes || spans + table->spans > SORTED_SPANS_MAX)
            break;
        bytes += table->bytes;
        spans += table->spans;
    }
    *bytes_out = bytes;
    return at - first;
}

/* ---- what is due ---- */

static bool is_due(const struct tiers_table *table, const struct tiers_rule *rule)
{
    return table->dead_ms && rule->now_ms >= table->dead_ms && rule->now_ms - table->dead_ms >= rule->due_ms;
}

/* The one that has waited longest, with as many of its neighbours as are due too. */
static bool pick_due(const struct tiers_table *tables, size_t count, const struct tiers_rule *rule, uint64_t room,
                     struct run *out)
{
    size_t oldest = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        if (is_due(&tables[i], rule) && (oldest == count || tables[i].dead_ms < tables[oldest].dead_ms) &&
            reach(tables, i, i + 1, room, &bytes))
            oldest = i;
    }
    if (oldest == count)
        return false;
    size_t first = oldest, end = oldest + 1;
    uint64_t bytes;
    while (end < count && is_due(&tables[end], rule) && reach(tables, first, end + 1, room, &bytes) == end + 1 - first)
        end++;
    while (first > 0 && is_due(&tables[first - 1], rule) &&
           reach(tables, first - 1, end, room, &bytes) == end + 1 - first)
        first--;
    *out = (struct run){ first, end - first };
    return true;
}

/* ---- tiers ---- */

/* Within a stretch of tables of at most `tier`, KEEP_FANIN of them of just that one: the most one merge can take. */
static bool pick_in_stretch(const struct tiers_table *tables, size_t first, size_t end, unsigned tier,
                            const struct tiers_rule *rule, uint64_t room, struct run *out)
{
    uint64_t most = 0;
    for (size_t i = first; i < end; i++) {
        uint64_t bytes;
        size_t count = reach(tables, i, end, room, &bytes);
        bool rises = tiers_of(bytes, rule->segment_bytes) > tier;
        bool is_large = count >= KEEP_FANIN && (tier == 0 || count == KEEP_INPUTS_MAX);
        if (count > 1 && (rises || is_large) && bytes > most) {
            most = bytes;
            *out = (struct run){ i, count };
        }
    }
    return most > 0;
}

static bool pick_tier(const struct tiers_table *tables, size_t count, const struct tiers_rule *rule, uint64_t room,
                      struct run *out)
{
    unsigned highest = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned tier = tiers_of(tables[i].bytes, rule->segment_bytes);
        highest = tier > highest ? tier : highest;
    }
    for (unsigned tier = 0; tier <= highest; tier++) {
        size_t first = 0, of_tier = 0;
        for (size_t i = 0; i <= count; i++) {
            unsigned at = i < count ? tiers_of(tables[i].bytes, rule->segment_bytes) : UINT32_MAX;
            of_tier += at == tier;
            if (at <= tier)
                continue;
            if (of_tier >= KEEP_FANIN && pick_in_stretch(tables, first, i, tier, rule, room, out))
                return true;
            first = i + 1;
            of_tier = 0;
        }
    }
    return false;
}

/* ---- further ---- */

/* What may still be written for all of them, with one rewriting of everything left over. */
static uint64_t left_to_write(const struct tiers_table *tables, size_t count)
{
    uint64_t source = 0, spent = 0;
    for (size_t i = 0; i < count; i++) {
        source += tables[i].source_bytes;
        spent += tables[i].source_bytes + tables[i].written_bytes + tables[i].bytes;
    }
    uint64_t all = KEEP_AMPLIFICATION_MAX * source;
    return all > spent ? all - spent : 0;
}

struct offer { struct run run; uint64_t bytes; bool found; };

/* The fewest bytes for each table saved, and of those that cost the same the most tables. */
static bool is_cheaper(const struct offer *a, const struct offer *b)
{
    double x = (double)a->bytes / (double)(a->run.count - 1), y = (double)b->bytes / (double)(b->run.count - 1);
    return x < y || (!(x > y) && a->run.count > b->run.count);
}

/* The most tables saved, and of those that save as many the fewest bytes. */
static bool is_further(const struct offer *a, const struct offer *b)
{
    return a->run.count > b->run.count || (a->run.count == b->run.count && a->bytes < b->bytes);
}

/* Of all neighbours that one merge can take, the best by `is_better`. */
static bool pick_further(const struct tiers_table *tables, size_t count, uint64_t room,
                         bool (*is_better)(const struct offer *, const struct offer *), struct run *out)
{
    struct offer best = { .found = false };
    for (size_t i = 0; i + 1 < count; i++) {
        uint64_t bytes;
        size_t most = reach(tables, i, count, room, &bytes);
        bytes = tables[i].bytes;
        for (size_t n = 2; n <= most; n++) {
            bytes += tables[i + n - 1].bytes;
            struct offer offer = { { i, n }, bytes, true };
            if (!best.found || is_better(&offer, &best))
                best = offer;
        }
    }
    *out = best.run;
    return best.found;
}

bool tiers_pick(const struct tiers_table *tables, size_t count, const struct tiers_rule *rule, size_t *first_out,
                size_t *count_out)
{
    uint64_t room = rule->room < KEEP_BYTES_MAX ? rule->room : KEEP_BYTES_MAX;
    struct run run;
    bool found = pick_due(tables, count, rule, room, &run) || pick_tier(tables, count, rule, room, &run);
    if (!found && count > TIERS_TABLES_MAX)
        found = pick_further(tables, count, room, is_cheaper, &run);
    if (!found && rule->idle) {
        uint64_t left = left_to_write(tables, count);
        found = pick_further(tables, count, left < room ? left : room, is_further, &run);
    }
    if (found) {
        *first_out = run.first;
        *count_out = run.count;
    }
    return found;
}
