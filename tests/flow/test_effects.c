/* test_effects.c - settings do what they say, through the whole server: those that no other story comes upon. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/flow/flow.h"

/* -- message_s ---------------------------------------------------------------------------------------------------- */

enum { MESSAGE_S = 7, MESSAGE_S_THEN = 3, FIN = 0x80, BINARY = 0x02 };

struct world {
    struct clock_hand hand;
    struct rig *rig;
    struct talker *other;             /* on the one shard there is: what it hears comes of a later turn */
};

static int setup(void **state)
{
    static struct world w;
    clock_hand_init(&w.hand, UINT64_C(1800000000000));
    w.rig = rig_new(&(struct rig_options){ .shards = 1, .hand = &w.hand });
    rig_add(w.rig, "alice", 2);
    rig_add(w.rig, "bob", 1);
    rig_config(w.rig)->message_s = MESSAGE_S;
    rig_up(w.rig);
    w.other = rig_talk(w.rig, "bob", 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    talker_close(w->other);
    rig_free(w->rig);
    return 0;
}

static void turn(struct world *w, uint64_t ms)
{
    rig_turn_clock(w->rig, ms);
    talker_settle(w->other);
}

static const char ping[] = "\x92\x12\x07";           /* [18, 7] */

/* A message in two pieces, the first of which the server has. */
static void begin_message(struct world *w, struct talker *t)
{
    uint64_t before = rig_stat(w->rig, "bytes_in"), had = before;
    talker_send_frame(t, BINARY, true, bytes_of(ping, 1));
    while (had == before) had = rig_stat(w->rig, "bytes_in");
    talker_settle(w->other);
}

static void end_message(struct talker *t)
{
    talker_send_frame(t, FIN, true, bytes_of(ping + 1, 2));
    assert_int_equal(talker_answer(t, 7)->type, MSG_PONG);
}

static void a_message_must_be_whole_within_its_time(void **state)
{
    struct world *w = *state;
    struct talker *t = rig_talk(w->rig, "alice", 0);
    talker_settle(t);
    for (int i = 0; i < 2; i++) {                    /* each has a time of its own */
        begin_message(w, t);
        turn(w, MESSAGE_S * 1000 - 2 * WHEEL_TICK_MS);
        end_message(t);
    }
    turn(w, MESSAGE_S * 1000 + 2 * WHEEL_TICK_MS);   /* between messages there is none */
    begin_message(w, t);
    turn(w, MESSAGE_S * 1000 + 2 * WHEEL_TICK_MS);
    assert_int_equal(talker_expect_close(t), err_close_code(ERR_IDLE));
    talker_close(t);
}

static void a_message_has_the_time_that_was_set_when_it_began(void **state)
{
    struct world *w = *state;
    struct config config = *rig_config(w->rig);
    struct talker *before = rig_talk(w->rig, "alice", 0), *after = rig_talk(w->rig, "alice", 1);
    talker_settle(before);
    talker_settle(after);
    begin_message(w, before);
    config.message_s = MESSAGE_S_THEN;
    assert_int_equal(rig_reload(w->rig, &config).changed, 1);
    begin_message(w, after);
    turn(w, MESSAGE_S_THEN * 1000 + 2 * WHEEL_TICK_MS);
    assert_int_equal(talker_expect_close(after), err_close_code(ERR_IDLE));
    end_message(before);
    talker_close(before);
    talker_close(after);
}

/* -- send_buffer_kib ----------------------------------------------------------------------------------------------- */

static uint16_t port_of(const struct sockaddr_storage *at)
{
    return at->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)at)->sin_port) : 0;
}

/* The server's ends of connections: of this process, as the server is. How many there are; a connection that has just
 * been handed over may have two. */
static int expect_send_buffers(struct rig *rig, int want)
{
    enum { DESCRIPTORS_MAX = 1024 };
    int found = 0;
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++) {
        struct sockaddr_storage own = { 0 }, peer = { 0 };
        socklen_t own_len = sizeof own, peer_len = sizeof peer, len = sizeof(int);
        int bytes = 0;
        if (getsockname(fd, (struct sockaddr *)&own, &own_len) || port_of(&own) != rig_port(rig)) continue;
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len)) continue;      /* it listens */
        if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len)) continue;       /* closed meanwhile */
        assert_int_equal(bytes, want);
        found++;
    }
    return found;
}

static int kernels_limit(void)
{
    int bytes = 0;
    FILE *f = fopen("/proc/sys/net/core/wmem_max", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &bytes), 1);
    fclose(f);
    return bytes;
}

/* The kernel doubles it for its own use, and cuts it to what is allowed on the machine. */
static void a_connection_has_the_send_buffer_that_was_set(void **state)
{
    static const uint64_t kib[] = { 16, 48, 128 };
    (void)state;
    for (size_t i = 0; i < sizeof kib / sizeof kib[0]; i++) {
        int want = (int)kib[i] << 10, limit = kernels_limit();
        struct rig *rig = rig_new(&(struct rig_options){ .shards = 2 });
        rig_add(rig, "alice", 1);
        rig_config(rig)->send_buffer_kib = kib[i];
        rig_up(rig);
        struct talker *t = rig_talk(rig, "alice", 0);
        talker_settle(t);                            /* handed to its user's shard by now, where that is another */
        assert_true(expect_send_buffers(rig, 2 * (want < limit ? want : limit)) > 0);
        talker_close(t);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_must_be_whole_within_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_has_the_time_that_was_set_when_it_began, setup, teardown),
        cmocka_unit_test(a_connection_has_the_send_buffer_that_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
