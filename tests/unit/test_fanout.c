/* test_fanout.c - a shard that does not drain costs its pusher a bounded heap of frames, and misses no news.
 *
 * Shard 1 stands still until shard 0 has added far more than its pipe and FANOUT_BYTES hold; then it takes all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat/fanout.h"
#include "server/chat/state.h"

enum { BODY_BYTES = 8192, MESSAGES = 6000, FANOUT_BYTES = 8 * 1024 * 1024 };

static struct scene {
    struct house house;
    struct chat chat;
    struct conv conv[2];
    struct user_id user[2];              /* on shard 1 */
    sem_t go;
    /* -- shard 1 -- */
    uint64_t last[2], frames, news;
    bool in_order;
    /* -- shard 0 -- */
    size_t bytes_most;
    bool queue_was_used;
} *scene;

static void add(struct conv *conv, uint64_t seq)
{
    static uint8_t body[BODY_BYTES];
    struct ask *ask = ask_new(ASK_SEND, BYTES_OF(body));
    struct pending p = { .conv = conv, .ask = ask };
    assert_non_null(ask);
    ask->user = scene->user[0];
    ask->device = (struct device_id){ 7 };
    ask->session_number = 1;
    p.record.seq = seq;
    p.record.kind = KIND_MESSAGE;
    p.record.id = msg_id_next(&(struct msg_id){ { 0 } }, 1, (const uint8_t *)"01234567");
    fanout_add(&scene->chat, conv, &p);
    if (scene->chat.fanout_bytes > scene->bytes_most) scene->bytes_most = scene->chat.fanout_bytes;
    scene->queue_was_used = scene->queue_was_used || conv->fan;
    ask_free(ask);
}

static void on_start(struct shard *shard)
{
    if (shard->id == 1) {
        while (sem_wait(&scene->go)) continue;
        return;
    }
    scene->chat.shard = shard;
    shard->chat = &scene->chat;
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        add(&scene->conv[0], seq);
        add(&scene->conv[1], seq);
    }
    sem_post(&scene->go);
}

static bool slice(struct shard *shard)
{
    return shard->id == 0 && fanout_run(&scene->chat);
}

static void on_parcel(struct shard *shard, const struct parcel *parcel)
{
    struct delivery *d = parcel->u.delivery;
    int which = conv_id_equal(&d->conv, &scene->conv[1].id);
    if (parcel->kind != PARCEL_DELIVER || shard->id != 1 || d->seq <= scene->last[which]) scene->in_order = false;
    /* A frame follows what came before it; a gap is only ever closed by news. */
    if (d->frame && d->seq != scene->last[which] + 1) scene->in_order = false;
    if (d->frame) scene->frames++;
    else scene->news++;
    scene->last[which] = d->seq;
    delivery_unref(d);
    if (scene->last[0] == MESSAGES && scene->last[1] == MESSAGES) house_stop(shard->house);
}

static void a_shard_that_stands_still_falls_behind_and_hears_how_far(void **state)
{
    (void)state;
    static const struct shard_ops ops = { .on_start = on_start, .on_parcel = on_parcel, .slice = slice };
    const uint8_t key[16] = { 3 };
    scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->in_order = true;
    assert_int_equal(sem_init(&scene->go, 0, 0), 0);
    assert_int_equal(house_init(&scene->house, 2, clock_real(), key), 0);
    scene->chat.settings.fanout_bytes_max = FANOUT_BYTES;
    buf_init(&scene->chat.scratch, FRAME_BYTES_MAX);
    int found = 0;
    for (int i = 0; found < 2; i++) {
        snprintf(scene->user[found].v, sizeof scene->user[found].v, "user%d", i);
        if (shard_of_user(&scene->house, &scene->user[found]) == 1) found++;
        else memset(&scene->user[found], 0, sizeof scene->user[found]);
    }
    for (int i = 0; i < 2; i++) {
        scene->conv[i].id.v[0] = (uint8_t)(i + 1);
        scene->conv[i].type = CONV_DIRECT;
        scene->conv[i].roster = roster_new(&scene->house, scene->user, 2);
    }
    assert_int_equal(house_start(&scene->house, &ops, NULL), 0);
    house_run_main(&scene->house);
    house_join(&scene->house);

    assert_true(scene->in_order);
    assert_int_equal(scene->last[0], MESSAGES);
    assert_int_equal(scene->last[1], MESSAGES);
    assert_true(scene->queue_was_used && scene->frames > 0 && scene->news > 0);
    assert_true(scene->bytes_most <= FANOUT_BYTES + 2 * FRAME_BYTES_MAX);
    assert_int_equal(scene->chat.fanout_bytes, 0);
    assert_null(scene->chat.fanout);
    for (int i = 0; i < 2; i++) {
        assert_null(scene->conv[i].fan);
        roster_unref(scene->conv[i].roster);
    }
    scene->house.shard[0]->chat = NULL;
    house_fini(&scene->house);
    buf_fini(&scene->chat.scratch);
    sem_destroy(&scene->go);
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_that_stands_still_falls_behind_and_hears_how_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
