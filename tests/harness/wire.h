/* wire.h - a client of a rig's admin socket, as pipitctl is one and as none should be; what is asked of it, and what it
 * left in DIR/audit.log. The rig has a real folder: the socket is a file.
 *
 * Failures are cmocka's, so all of this belongs to the test's thread. An answer is the caller's to json_decref(). */
#ifndef PIPIT_TESTS_HARNESS_WIRE_H
#define PIPIT_TESTS_HARNESS_WIRE_H

#include <jansson.h>

#include "tests/harness/rig.h"

enum { WIRE_MS_MAX = 60000, WIRE_LINE_MAX = 1024 * 1024 };

struct wire {
    int fd;
    struct buf in;
};

void wire_open(struct wire *w, struct rig *rig);
void wire_close(struct wire *w);
/* All of it, or as much as goes out before the server closes: false. */
bool wire_write(struct wire *w, const char *text, size_t len);
void wire_say(struct wire *w, const char *line);           /* and its newline */
json_t *wire_hear(struct wire *w);                         /* the next line; NULL: the server has closed */
json_t *wire_ask(struct wire *w, const char *line);        /* both */

bool is_ok(json_t *answer);
const char *text_of(json_t *object, const char *name);     /* "": there is none */
json_int_t number_of(json_t *object, const char *name);

/* One request on a connection of its own; the same where it is to go well; and what an answer that refuses says,
 * taken. */
json_t *ask(struct rig *rig, const char *line);
void expect_ok(struct rig *rig, const char *line);
void expect_refused(json_t *answer, int err, const char *clause);
/* The user's row of user-list, NULL when there is none. */
json_t *user_row(struct rig *rig, const char *name);
bool has_user(struct rig *rig, const char *name);

/* DIR/audit.log; "" when there is none. Good until the next call. */
char *audit_log(struct rig *rig);
size_t count_lines(const char *text);
void assert_last_audit_line(struct rig *rig, const char *ending);

/* cmocka's, for stories of the admin socket: *state is a rig with two shards, alice with two devices and bob with one. */
int wire_setup(void **state);
int wire_teardown(void **state);

#endif
