/* reading_dead.c - which records of a conversation are dead, for a job. See reading.h. */
#include <stdlib.h>

#include "server/chat/reading.h"
#include "server/chat/state.h"

static int compare_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int dead_init(struct dead *dead, struct chat *chat, const struct conv *conv)
{
    const struct chat_settings *set = &chat->settings;
    struct retain_rules rules = { chat->shard->wall_ms, set->retain_ms, set->drop_delivered, set->marks_ms };
    dead->part = malloc(sizeof *dead->part);
    dead->fresh = malloc((conv->deleted_count + 1) * sizeof *dead->fresh);
    dead->fresh_count = 0;
    if (!dead->part || !dead->fresh) {
        dead_fini(dead);
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < conv->deleted_count; i++) dead->fresh[dead->fresh_count++] = conv->deleted[i].seq;
    qsort(dead->fresh, dead->fresh_count, sizeof *dead->fresh, compare_seq);
    retain_part_begin(dead->part, &rules, &conv->id);
    return 0;
}

void dead_fini(struct dead *dead)
{
    free(dead->part);
    free(dead->fresh);
    *dead = (struct dead){ 0 };
}

int reading_is_dead(struct dead *dead, struct facts *facts, const struct record *record, bool *is_dead_out)
{
    enum retain_why why = RETAIN_STAYS;
    *is_dead_out = bsearch(&record->seq, dead->fresh, dead->fresh_count, sizeof *dead->fresh, compare_seq) != NULL;
    if (*is_dead_out) return 0;
    int err = retain_part_judge(dead->part, facts, record, &why);
    *is_dead_out = why != RETAIN_STAYS;
    return err;
}
