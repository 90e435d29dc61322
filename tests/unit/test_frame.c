/* test_frame.c - a frame is a WebSocket message whose bytes live as long as its last reference.
 *
 * That the last one frees, and no earlier one, is what the address sanitizer checks here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/frame.h"

static void check_ws(size_t payload_len, const uint8_t *header, size_t header_len)
{
    uint8_t *payload = malloc(payload_len + 1);
    assert_non_null(payload);
    for (size_t i = 0; i < payload_len; i++) payload[i] = (uint8_t)(i * 7);
    struct frame *frame = frame_ws(bytes_of(payload, payload_len));
    assert_non_null(frame);
    struct bytes bytes = frame_bytes(frame);
    assert_int_equal(bytes.len, header_len + payload_len);
    assert_memory_equal(bytes.at, header, header_len);
    assert_int_equal(memcmp(bytes.at + header_len, payload, payload_len), 0);
    free(payload);
    frame_unref(frame);
}

/* RFC 6455, section 5.2: FIN and opcode 2, no mask, the length in its shortest form. */
static void a_frame_carries_the_header_of_its_length(void **state)
{
    (void)state;
    check_ws(0, (const uint8_t[]){ 0x82, 0 }, 2);
    check_ws(125, (const uint8_t[]){ 0x82, 125 }, 2);
    check_ws(126, (const uint8_t[]){ 0x82, 126, 0, 126 }, 4);
    check_ws(65535, (const uint8_t[]){ 0x82, 126, 0xff, 0xff }, 4);
    check_ws(65536, (const uint8_t[]){ 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 }, 10);
}

static void a_frame_is_a_copy_of_its_payload(void **state)
{
    (void)state;
    char payload[] = "before";
    struct frame *frame = frame_ws(bytes_of(payload, 6));
    memcpy(payload, "after!", 6);
    assert_memory_equal(frame->at + 2, "before", 6);
    frame_unref(frame);
}

static void bytes_stay_until_the_last_reference_is_gone(void **state)
{
    (void)state;
    struct frame *frame = frame_new(3);
    assert_non_null(frame);
    memcpy(frame->at, "abc", 3);
    assert_ptr_equal(frame_ref(frame), frame);
    assert_ptr_equal(frame_ref(frame), frame);
    frame_unref(frame);
    frame_unref(frame);
    assert_memory_equal(frame_bytes(frame).at, "abc", 3);
    frame_unref(frame);
}

static void no_frame_can_be_let_go(void **state)
{
    (void)state;
    frame_unref(NULL);
}

static void what_does_not_fit_the_length_is_refused(void **state)
{
    (void)state;
    assert_null(frame_new((size_t)UINT32_MAX + 1));
}

static void *share(void *arg)
{
    struct frame *frame = arg;
    for (int i = 0; i < 20000; i++) {
        frame_ref(frame);
        if (frame->at[0] != 42) return NULL;
        frame_unref(frame);
    }
    frame_unref(frame);
    return frame;
}

static void many_threads_may_hold_and_let_go_the_same_frame(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    struct frame *frame = frame_new(1);
    frame->at[0] = 42;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, share, frame_ref(frame)), 0);
    frame_unref(frame);    /* ours may be the last, or one of theirs */
    for (int i = 0; i < THREADS; i++) {
        void *saw;
        pthread_join(thread[i], &saw);
        assert_ptr_equal(saw, frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_carries_the_header_of_its_length),
        cmocka_unit_test(a_frame_is_a_copy_of_its_payload),
        cmocka_unit_test(bytes_stay_until_the_last_reference_is_gone),
        cmocka_unit_test(no_frame_can_be_let_go),
        cmocka_unit_test(what_does_not_fit_the_length_is_refused),
        cmocka_unit_test(many_threads_may_hold_and_let_go_the_same_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
