/* notify.h - tells a person who does not look that a message came.
 *
 * PIPIT_NOTIFY says how: bell (the default: whatever the terminal makes of it), desktop (a notification, by what terminals
 * understand: OSC 777 for most, OSC 99 for kitty, OSC 9 else), none. It names who wrote and never what: the screen may be
 * locked, and others may look at it. One each NOTIFY_MS_MIN, as a burst is one reason to look.
 * Thread: one. */
#ifndef PIPIT_CLIENT_TUI_NOTIFY_H
#define PIPIT_CLIENT_TUI_NOTIFY_H

#include "tools/client/tui/terminal.h"

enum {
    NOTIFY_MS_MIN = 1000,         /* between two: one that is heard, and the next is new */
    NOTIFY_NAME_BYTES_MAX = 200,  /* of a name in a notification; longer ones are cut, whole characters */
    NOTIFY_BYTES_MAX = 3 * NOTIFY_NAME_BYTES_MAX + 64,    /* of a sequence: what is unsafe takes three bytes */
};
enum notify_way { NOTIFY_BELL, NOTIFY_DESKTOP, NOTIFY_KITTY, NOTIFY_PLAIN /* OSC 9 */, NOTIFY_NONE };

struct notify {
    enum notify_way way;
    bool was_told;
    uint64_t told_ms;             /* monotonic */
};

/* `wish` is PIPIT_NOTIFY, `term` and `program` are TERM and TERM_PROGRAM; each may be NULL. False: the wish is none of the
 * three words, and it is a bell then. */
bool notify_init(struct notify *n, const char *wish, const char *term, const char *program);
/* A message of `name` came at `now_ms`. */
void notify_message(struct notify *n, struct terminal *t, const char *name, uint64_t now_ms);
/* What would be sent for it: nothing for a bell. Appended to `to`. */
void notify_sequence(const struct notify *n, const char *name, struct buf *to);

#endif
