/* story.h - a server and programs of its users, as real processes.
 *
 * A story has a server of its own in a temporary folder, and homes for alice and bob who are logged in. Programs are
 * fed and read by pipes, or by a terminal of their own; what is waited for is text they print. STORY_MS_MAX only turns
 * a hang into a failure. Failures are cmocka's, so all of this belongs to the test's thread. */
#ifndef PIPIT_TESTS_STORY_H
#define PIPIT_TESTS_STORY_H

#include <sys/types.h>

#include "proto/proto.h"

enum { STORY_MS_MAX = 60000, STORY_ARGS_MAX = 20, STORY_OUT_MAX = 64 * 1024 };

struct process {
    pid_t pid;
    int in, out;                  /* of a terminal: the same */
    char text[STORY_OUT_MAX];     /* all it has printed so far */
    size_t len;
    bool with_errors;             /* standard error is heard too; set it before start(), which keeps it */
};

struct story {
    char dir[64];                 /* a home NAME is dir/NAME, the server's data are in dir/data */
    char bin[256];                /* where the programs are */
    char address[32];             /* of the server, "127.0.0.1:PORT" */
    struct process server;
};

/* cmocka's. A story's password is "a password", in PIPIT_PASSWORD. */
int story_setup(void **state);
int story_teardown(void **state);

void start(struct process *p, const char *program, char *const argv[], bool on_terminal);
void close_input(struct process *p);
bool hear(struct process *p);                              /* reads once; false: nothing more comes */
void hear_until(struct process *p, const char *what);
void forget(struct process *p);                            /* what it has printed */
int finish(struct process *p);                             /* all the rest of its output, then its exit code */
void type(struct process *p, const char *text);

/* pipit with the story's server and a home of this name. The second one: with an empty input, to its end. */
void pipit_begin(struct story *s, struct process *p, const char *home, const char *const *words, bool on_terminal);
int pipit(struct story *s, struct process *p, const char *home, const char *const *words);
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* Sends and gives the message id. */
void sends(struct story *s, const char *home, const char *to, const char *text, char id[static MSG_ID_TEXT]);

void server_up(struct story *s);                           /* again at the same address */
void server_up_with(struct story *s, const char *const *words);    /* with more arguments */
void server_down(struct story *s, int how);                /* a signal */
void make_user(struct story *s, const char *name);         /* and log in, home of the same name */
/* pipitctl on the story's data. */
int ctl(struct story *s, struct process *p, const char *const *words);

#endif
