/* owner.h - pipitctl as the owner of a rig's server types it: the real program, waited for and never timed.
 *
 * It has no terminal but where a test gives it one. The rig needs a real folder, for the admin socket. One program at a
 * time: what the last one said is in `said`. Failures are cmocka's, so all of this belongs to the test's thread. */
#ifndef PIPIT_TESTS_OWNER_H
#define PIPIT_TESTS_OWNER_H

#include <sys/types.h>

#include "tests/harness/rig.h"

enum { CTL_ARGS_MAX = 16, CTL_OUT_MAX = 512 * 1024 };

struct ctl_said { char out[CTL_OUT_MAX], err[CTL_OUT_MAX]; };
extern struct ctl_said said;

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* cmocka's: a server with alice, who has one device, as the state. PIPIT_PASSWORD is "a password". */
int owner_setup(void **state);
int owner_teardown(void **state);

/* Its exit code. ctl_at(): `data` NULL is no --data. */
int ctl_on(struct rig *rig, const char *const *words);
int ctl_at(const char *data, const char *const *words);
/* The same in two steps, for who has to do something meanwhile. */
pid_t ctl_begin(const char *data, const char *const *words);
int ctl_end(pid_t pid);
/* On a terminal of its own, where `typed` is typed when it asks for something once more, or for a yes. All it printed is in
 * said.out. */
int ctl_on_terminal(struct rig *rig, const char *const *words, const char *typed);
int ctl_as_nobody(struct rig *rig, const char *const *words);    /* root may do this */

void assert_said(const char *what, const char *clause);
/* The line of said.out that has `word` in it, without its end. Good until the next call. */
const char *line_with(const char *word);

#endif
