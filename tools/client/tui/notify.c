/* notify.c - tells a person who does not look that a message came (see notify.h).
 *
 * A sequence of the kind OSC ends with BEL or ST, so nothing in it may be a control character: the name goes through the
 * rule of tools/common/utf8.h. ';' parts the fields of OSC 777 and would end a title, so it becomes a comma. */
#include "tools/client/tui/notify.h"

#include <stdlib.h>
#include <string.h>

#include "tools/client/tui/text.h"

static enum notify_way desktop_of(const char *term, const char *program)
{
    if (term && strstr(term, "kitty")) return NOTIFY_KITTY;
    if (program && (strcmp(program, "iTerm.app") == 0 || strcmp(program, "WezTerm") == 0)) return NOTIFY_PLAIN;
    return NOTIFY_DESKTOP;
}

bool notify_init(struct notify *n, const char *wish, const char *term, const char *program)
{
    *n = (struct notify){ .way = NOTIFY_BELL };
    if (!wish || !wish[0] || strcmp(wish, "bell") == 0) return true;
    if (strcmp(wish, "none") == 0) n->way = NOTIFY_NONE;
    else if (strcmp(wish, "desktop") == 0) n->way = desktop_of(term, program);
    return n->way != NOTIFY_BELL;
}

static void put_str(struct buf *to, const char *text)
{
    buf_put(to, text, strlen(text));
}

static void put_name(struct buf *to, const char *name)
{
    struct buf safe;
    struct bytes all = bytes_of_str(name);
    size_t len = all.len < NOTIFY_NAME_BYTES_MAX ? all.len : text_floor(all, NOTIFY_NAME_BYTES_MAX);
    buf_init(&safe, NOTIFY_BYTES_MAX);
    text_put(&safe, bytes_of(all.at, len));
    struct bytes out = buf_bytes(&safe);
    for (size_t i = 0; i < out.len; i++) buf_put_u8(to, out.at[i] == ';' ? ',' : out.at[i]);
    buf_fini(&safe);
}

void notify_sequence(const struct notify *n, const char *name, struct buf *to)
{
    switch (n->way) {
    case NOTIFY_BELL:
    case NOTIFY_NONE:
        return;
    case NOTIFY_DESKTOP: put_str(to, "\033]777;notify;pipit;"); break;
    case NOTIFY_KITTY:   put_str(to, "\033]99;;"); break;
    case NOTIFY_PLAIN:   put_str(to, "\033]9;"); break;
    }
    put_str(to, "a message from ");
    put_name(to, name);
    put_str(to, "\033\\");
}

void notify_message(struct notify *n, struct terminal *t, const char *name, uint64_t now_ms)
{
    struct buf sequence;
    if (n->way == NOTIFY_NONE || (n->was_told && now_ms - n->told_ms < NOTIFY_MS_MIN)) return;
    n->was_told = true;
    n->told_ms = now_ms;
    if (n->way == NOTIFY_BELL) {
        terminal_bell(t);
        return;
    }
    buf_init(&sequence, NOTIFY_BYTES_MAX + 64);
    notify_sequence(n, name, &sequence);
    terminal_send(t, buf_bytes(&sequence));    /* one that finds no room is one that nobody needs */
    buf_fini(&sequence);
}
