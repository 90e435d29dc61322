/* list.c - see list.h. */
#include "storage/list.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "proto/err.h"
#include "storage/logs.h"
#include "storage/sorted.h"

static struct segment_list *list_make(size_t segments, size_t tables)
{
    struct segment_list *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    atomic_init(&list->refs, 1);
    list->segments = calloc(segments ? segments : 1, sizeof *list->segments);
    list->tables = calloc(tables ? tables : 1, sizeof *list->tables);
    if (list->segments && list->tables)
        return list;
    list_unref(list);
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    const struct segment_head *left = &(*(struct segment *const *)a)->head;
    const struct segment_head *right = &(*(struct segment *const *)b)->head;
    if (left->log != right->log)
        return left->log < right->log ? -1 : 1;
    return left->first_number < right->first_number ? -1 : left->first_number > right->first_number;
}

static int by_serial(const void *a, const void *b)
{
    uint64_t left = sorted_meta(*(struct sorted *const *)a)->serial;
    uint64_t right = sorted_meta(*(struct sorted *const *)b)->serial;
    return left < right ? -1 : left > right;
}

static void list_order(struct segment_list *list)
{
    qsort(list->segments, list->segment_count, sizeof *list->segments, by_number);
    qsort(list->tables, list->table_count, sizeof *list->tables, by_serial);
}

struct segment_list *list_new(struct segment *const *segments, size_t segment_count, struct sorted *const *tables,
                              size_t table_count)
{
    struct segment_list *list = list_make(segment_count, table_count);
    if (!list)
        return NULL;
    for (size_t i = 0; i < segment_count; i++)
        list->segments[list->segment_count++] = segment_ref(segments[i]);
    for (size_t i = 0; i < table_count; i++)
        list->tables[list->table_count++] = sorted_ref(tables[i]);
    list_order(list);
    return list;
}

void list_unref(struct segment_list *list)
{
    /* Release: our reads are done; acquire: the last one sees that of all others before it frees. */
    if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < list->segment_count; i++)
        segment_unref(list->segments[i]);
    for (size_t i = 0; i < list->table_count; i++)
        sorted_unref(list->tables[i]);
    free(list->segments);
    free(list->tables);
    /* Last: who sees the count go down sees all that was done with the list as done. */
    if (list->alive)
        atomic_fetch_sub_explicit(list->alive, 1, memory_order_release);
    free(list);
}

void list_begin(struct logs *logs, struct segment_list *list)
{
    list->alive = &logs->lists_alive;
    atomic_store(&logs->lists_alive, 1);
    logs->list = list;
}

bool list_is_alone(struct logs *logs)
{
    return atomic_load_explicit(&logs->lists_alive, memory_order_acquire) == 1;
}

struct segment_list *list_get(struct logs *logs)
{
    pthread_mutex_lock(&logs->list_lock);
    struct segment_list *list = logs->list;
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&logs->list_lock);
    return list;
}

/* The next list is made of the one that is there under one lock after the other: shards and the keeper change it, each
 * a few times a minute. Only taking and exchanging the pointer stands under the lock that readers take. The old list is
 * let go of by the caller, with no lock held: its files may be closed then, and closing one that lost its name takes
 * as long as giving back its room. */
static struct segment_list *list_swap(struct logs *logs, struct segment_list *next)
{
    next->alive = &logs->lists_alive;
    atomic_fetch_add_explicit(next->alive, 1, memory_order_relaxed);
    pthread_mutex_lock(&logs->list_lock);
    struct segment_list *old = logs->list;
    logs->list = next;
    pthread_mutex_unlock(&logs->list_lock);
    return old;
}

int list_add(struct logs *logs, struct segment *segment)
{
    struct segment_list *old = NULL;
    pthread_mutex_lock(&logs->change_lock);
    const struct segment_list *now = logs->list;         /* changed under change_lock alone */
    struct segment_list *next = list_make(now->segment_count + 1, now->table_count);
    if (next) {
        for (size_t i = 0; i < now->segment_count; i++)
            next->segments[next->segment_count++] = segment_ref(now->segments[i]);
        for (size_t i = 0; i < now->table_count; i++)
            next->tables[next->table_count++] = sorted_ref(now->tables[i]);
        next->segments[next->segment_count++] = segment_ref(segment);
        list_order(next);
        old = list_swap(logs, next);
    }
    pthread_mutex_unlock(&logs->change_lock);
    list_unref(old);
    return next ? 0 : ERR_NOMEM;
}

static bool is_among(const void *what, const void *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i] == what)
            return true;
    return false;
}

int list_replace(struct logs *logs, struct segment *const *segments, size_t segment_count, struct sorted *const *tables,
                 size_t table_count, struct sorted *added)
{
    struct segment_list *old = NULL;
    pthread_mutex_lock(&logs->change_lock);
    const struct segment_list *now = logs->list;
    struct segment_list *next = list_make(now->segment_count, now->table_count + 1);
    if (next) {
        for (size_t i = 0; i < now->segment_count; i++)
            if (!is_among(now->segments[i], (const void *const *)segments, segment_count))
                next->segments[next->segment_count++] = segment_ref(now->segments[i]);
        for (size_t i = 0; i < now->table_count; i++)
            if (!is_among(now->tables[i], (const void *const *)tables, table_count))
                next->tables[next->table_count++] = sorted_ref(now->tables[i]);
        assert(next->segment_count + segment_count == now->segment_count);
        assert(next->table_count + table_count == now->table_count);
        next->tables[next->table_count++] = sorted_ref(added);
        list_order(next);
        old = list_swap(logs, next);
    }
    pthread_mutex_unlock(&logs->change_lock);
    list_unref(old);
    return next ? 0 : ERR_NOMEM;
}
