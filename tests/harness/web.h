/* web.h - one request over HTTP to a rig's server, as a person, a device or a nuisance from another address makes it.
 *
 * A failure of the connection aborts, as in peer.h; what the server says is the test's to judge. Thread: any. */
#ifndef PIPIT_TESTS_WEB_H
#define PIPIT_TESTS_WEB_H

#include "tests/harness/rig.h"

enum { WEB_BODY_MAX = 256 * 1024 };

struct web {
    int status;
    int retry_s;                      /* Retry-After; -1: it was not said */
    char head[4096];
    char body[WEB_BODY_MAX];          /* NUL-terminated */
};

/* What a device says to show who it is; "" for one that does not. */
struct web_device { struct user_id user; struct device_id device; uint8_t token[TOKEN_BYTES]; };

/* `source`: the address it comes from, NULL: 127.0.0.1. `device` and `body`: NULL for none. Returns the status. */
int web_ask(struct rig *rig, const char *source, const char *method, const char *path, const struct web_device *device,
            const char *body, struct web *out);
/* The same with whole lines of head ("Authorization: …\r\n") instead of a device. */
int web_ask_raw(struct rig *rig, const char *source, const char *method, const char *path, const char *lines,
                const char *body, struct web *out);
/* Is it a refusal of that name, whole, as the document says? Aborts with what it was instead. */
void web_expect_error(const struct web *w, int status, const char *name);

/* Log in; the status. `out` NULL: only to see whether one may. */
int web_login(struct rig *rig, const char *source, const char *user, const char *password, struct web_device *out);
/* The device of a rig_add(). */
struct web_device web_device_of(const struct rig_device *d);
struct talker *web_talk(struct rig *rig, const struct web_device *d);

#endif
