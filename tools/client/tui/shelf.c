/* shelf.c - strings one behind the other in one block (see shelf.h). Shelves are small and change as fast as people
 * type: moving the rest when one goes costs less than being clever. */
#include "tools/client/tui/shelf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

int shelf_init(struct shelf *s, size_t count_max, size_t bytes_max)
{
    *s = (struct shelf){ .bytes = malloc(bytes_max), .lens = calloc(count_max, sizeof *s->lens),
                         .count_max = count_max, .bytes_max = bytes_max };
    if (s->bytes && s->lens) return 0;
    shelf_fini(s);
    return ERR_NOMEM;
}

void shelf_fini(struct shelf *s)
{
    free(s->bytes);
    free(s->lens);
    *s = (struct shelf){ .count = 0 };
}

static void drop_oldest(struct shelf *s)
{
    size_t len = s->lens[0];
    s->count--;
    s->used -= len;
    memmove(s->bytes, s->bytes + len, s->used);
    memmove(s->lens, s->lens + 1, s->count * sizeof s->lens[0]);
}

/* The last `kept` strings stay. */
static size_t make_room(struct shelf *s, size_t len, size_t kept)
{
    size_t dropped = 0;
    for (; s->bytes_max - s->used < len; dropped++) {
        assert(s->count > kept);    /* what never fits was not to be asked for */
        drop_oldest(s);
    }
    return dropped;
}

size_t shelf_push(struct shelf *s, struct bytes string)
{
    size_t dropped = 0;
    if (s->count == s->count_max) {
        drop_oldest(s);
        dropped++;
    }
    dropped += make_room(s, string.len, 0);
    if (string.len > 0) memcpy(s->bytes + s->used, string.at, string.len);
    s->used += string.len;
    s->lens[s->count++] = string.len;
    return dropped;
}

size_t shelf_extend(struct shelf *s, struct bytes more, bool at_front)
{
    assert(s->count > 0);
    size_t dropped = make_room(s, more.len, 1);
    size_t *len = &s->lens[s->count - 1];
    uint8_t *newest = s->bytes + s->used - *len;
    if (at_front) memmove(newest + more.len, newest, *len);
    if (more.len > 0) memcpy(at_front ? newest : newest + *len, more.at, more.len);
    *len += more.len;
    s->used += more.len;
    return dropped;
}

void shelf_pop(struct shelf *s)
{
    assert(s->count > 0);
    s->used -= s->lens[--s->count];
}

void shelf_clear(struct shelf *s)
{
    s->count = s->used = 0;
}

struct bytes shelf_at(const struct shelf *s, size_t index)
{
    size_t at = 0;
    assert(index < s->count);
    for (size_t i = 0; i < index; i++) at += s->lens[i];
    return bytes_of(s->bytes + at, s->lens[index]);
}
