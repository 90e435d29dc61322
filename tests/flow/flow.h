/* flow.h - what the whole-server stories share: cmocka, the rig, and a few claims about messages. */
#ifndef PIPIT_TESTS_FLOW_FLOW_H
#define PIPIT_TESTS_FLOW_FLOW_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/harness/rig.h"

static inline void assert_text(const struct msg *m, const char *text)
{
    struct bytes got;
    assert_int_equal(m->type, MSG_MESSAGE);
    assert_int_equal(content_text_decode(m->u.message.body, &got), 0);
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.at, text, got.len);
}

static inline void assert_error(const struct msg *m, int err)
{
    assert_int_equal(m->type, MSG_ERROR);
    assert_string_equal(err_name(-(int)m->u.error.code), err_name(err));
}

/* Say it and wait until it is accepted. */
static inline struct msg_accepted send_text(struct talker *t, const char *to, uint64_t client_seq, const char *text)
{
    struct user_id user = rig_user(to);
    const struct msg *m = talker_answer(t, talker_send_text(t, &user, client_seq, client_seq, text));
    assert_int_equal(m->type, MSG_ACCEPTED);
    return m->u.accepted;
}

static inline struct conv_id conv_of(const char *a, const char *b)
{
    struct user_id x = rig_user(a), y = rig_user(b);
    return conv_id_direct(&x, &y);
}

/* Ask for a page, and its answer: `history` says of what. */
static inline const struct msg *ask_history(struct talker *t, struct msg_history history)
{
    struct msg m = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(t), .u.history = history };
    talker_send(t, &m);
    return talker_answer(t, m.ref);
}

/* As many of the newest with somebody as a page takes, before the sequence `before`; 0: of all. */
static inline const struct msg *ask_newest(struct talker *t, const char *with, uint64_t before)
{
    return ask_history(t, (struct msg_history){ .to = { .is_user = true, .user = rig_user(with) },
                                                .has_before = before != 0, .before = before,
                                                .limit = PAGE_RECORDS_MAX });
}

/* The next MESSAGE, whatever else comes. */
static inline void expect_text(struct talker *t, const char *text)
{
    assert_text(talker_expect(t, MSG_MESSAGE), text);
}

#endif
