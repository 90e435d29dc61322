/* samples.h - one message of each type, and more where a type has shapes, beside the bytes it must be.
 *
 * The bytes were made by another encoder (forty lines of Python) from the same values, so that a mistake made
 * alike in both directions here does not pass. `fields` names what stands behind type and ref, in order. */
#ifndef PIPIT_TESTS_SAMPLES_H
#define PIPIT_TESTS_SAMPLES_H

#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

#define NOW_MS   UINT64_C(1700000000000)
#define DEVICE_A UINT64_C(0x0123456789ABCDEF)
#define DEVICE_B UINT64_C(0xFEDCBA9876543210)

static const uint8_t sample_conv[16] = {
    0x19, 0x32, 0xB2, 0x59, 0xDC, 0x82, 0xA3, 0x7A, 0x99, 0xA9, 0x26, 0x62, 0xF9, 0xBE, 0x86, 0x0C,
};
static const uint8_t sample_id[16] = { 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x00, 0x70, 0x05, 0x80 };
static const uint8_t sample_token[TOKEN_BYTES] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
};
static const uint8_t sample_body[] = { 0x92, 0x00, 0xA5, 'h', 'e', 'l', 'l', 'o' };    /* the text "hello" */

static struct user_id sample_user(const char *name)
{
    struct user_id id;
    memset(&id, 0, sizeof id);
    memcpy(id.v, name, strlen(name));
    return id;
}

static struct conv_id conv_of_sample(void)
{
    struct conv_id id;
    memcpy(id.v, sample_conv, sizeof id.v);
    return id;
}

static struct msg_id id_of_sample(void)
{
    struct msg_id id;
    memcpy(id.v, sample_id, sizeof id.v);
    return id;
}

static struct where to_user(const char *name)
{
    return (struct where){ .is_user = true, .user = sample_user(name) };
}

static struct where to_conv(void)
{
    return (struct where){ .conv = conv_of_sample() };
}

static struct msg msg_of(enum msg_type type, uint64_t ref)    /* ref 0: nil */
{
    return (struct msg){ .type = type, .has_ref = ref != 0, .ref = ref };
}

/* ---- requests ---- */

static struct msg make_hello(void)
{
    struct msg m = msg_of(MSG_HELLO, 1);
    m.u.hello = (struct msg_hello){
        .version = 1, .user = sample_user("alice"), .device = { DEVICE_A },
        .token = BYTES_OF(sample_token), .agent = bytes_of_str("example/1.0"),
    };
    return m;
}

static struct msg make_send(void)
{
    struct msg m = msg_of(MSG_SEND, 2);
    m.u.send = (struct msg_send){
        .to = to_user("bob"), .client_seq = 41, .settled = 40, .body = BYTES_OF(sample_body),
    };
    return m;
}

static struct msg make_send_full(void)
{
    static uint8_t body[300];
    memset(body, 'x', sizeof body);
    struct msg m = msg_of(MSG_SEND, UINT64_MAX);
    m.u.send = (struct msg_send){
        .to = to_conv(), .client_seq = NUMBER_MAX, .settled = 0, .body = BYTES_OF(body), .group_version = 7,
        .list_versions = bytes_of("\x81\xA3" "bob\x03", 6), .envelopes = bytes_of("\x81\x05\xC4\x01" "e", 5),
        .media = bytes_of("\x91\xA1m", 3), .wake = bytes_of("\x91\xA3" "bob", 5), .expire_s = 3600,
    };
    return m;
}

static struct msg make_delivered(void)
{
    struct msg m = msg_of(MSG_DELIVERED, 0);
    m.u.cursor = (struct msg_cursor){ .to = to_conv(), .seq = 7 };
    return m;
}

static struct msg make_read(void)
{
    struct msg m = msg_of(MSG_READ, 9);
    m.u.cursor = (struct msg_cursor){ .to = to_user("bob"), .seq = 70000 };
    return m;
}

static struct msg make_history(void)
{
    struct msg m = msg_of(MSG_HISTORY, 3);
    m.u.history = (struct msg_history){ .to = to_conv(), .has_before = true, .before = 500, .limit = 100 };
    return m;
}

static struct msg make_history_after(void)
{
    struct msg m = msg_of(MSG_HISTORY, 3);
    m.u.history = (struct msg_history){ .to = to_user("bob"), .has_after = true, .after = 500, .limit = 1 };
    return m;
}

static struct msg make_history_around(void)
{
    struct msg m = msg_of(MSG_HISTORY, 3);
    m.u.history = (struct msg_history){ .to = to_user("bob"), .limit = 50, .has_around = true, .around = NOW_MS };
    return m;
}

static struct msg make_info(void)
{
    struct msg m = msg_of(MSG_INFO, 4);
    m.u.info = (struct msg_info){ .to = to_conv(), .seq = 7 };
    return m;
}

static struct msg make_devices_list(void)
{
    return msg_of(MSG_DEVICES, 6);
}

static struct msg make_devices_name(void)
{
    struct msg m = msg_of(MSG_DEVICES, 6);
    m.u.devices = (struct msg_devices){
        .action = DEVICES_NAME, .device = { DEVICE_B }, .has_name = true, .name = bytes_of_str("kitchen laptop"),
    };
    return m;
}

static struct msg make_devices_revoke(void)
{
    struct msg m = msg_of(MSG_DEVICES, 7);
    m.u.devices = (struct msg_devices){ .action = DEVICES_REVOKE, .device = { DEVICE_B } };
    return m;
}

static struct msg make_remove(void)
{
    static struct buf seqs;
    if (seqs.len == 0) {
        buf_init(&seqs, 1000);
        seqs_add(&seqs, 7);
        seqs_add(&seqs, 70000);
    }
    struct msg m = msg_of(MSG_DELETE, 8);
    m.u.remove = (struct msg_remove){ to_user("bob"), 42, 41, buf_bytes(&seqs) };
    return m;
}

static struct msg make_timer(void)
{
    struct msg m = msg_of(MSG_TIMER, 9);
    m.u.timer = (struct msg_timer){ to_conv(), 43, 41, 86400 };
    return m;
}

static struct msg make_ping(void)
{
    return msg_of(MSG_PING, 5);
}

/* ---- answers ---- */

static struct msg make_welcome(void)
{
    struct msg m = msg_of(MSG_WELCOME, 1);
    m.u.welcome = (struct msg_welcome){
        .now_ms = NOW_MS, .heartbeat_ms = 30000, .client_seq_max = 40, .list_version = 1,
        .server = bytes_of_str("pipitd/0.1.0"), .frame_bytes_max = 65536, .body_bytes_max = 16384,
        .text_bytes_max = 4096, .window_messages_max = 64, .window_bytes_max = 262144, .page_records_max = 100,
        .unsettled_max = 256,
    };
    for (size_t i = 0; i < 16; i++) m.u.welcome.generation[i] = (uint8_t)(0xF0 + i);
    return m;
}

static struct msg make_accepted(void)
{
    struct msg m = msg_of(MSG_ACCEPTED, 2);
    m.u.accepted = (struct msg_accepted){ conv_of_sample(), 7, id_of_sample(), 41, 0 };
    return m;
}

static struct msg make_accepted_expires(void)
{
    struct msg m = make_accepted();
    m.u.accepted.expiry_ms = NOW_MS + 60000;
    return m;
}

static struct msg_message record_of(uint64_t seq, struct bytes body)
{
    return (struct msg_message){
        .conv = conv_of_sample(), .seq = seq, .id = id_of_sample(), .kind = KIND_MESSAGE, .flags = RECORD_COUNTS,
        .counted = seq, .from = sample_user("bob"), .device = { DEVICE_B }, .client_seq = 9, .is_direct = true,
        .members = { sample_user("alice"), sample_user("bob") }, .body = body,
    };
}

/* The records live as long as the program: a message points into what it was made from. */
static struct msg make_page(void)
{
    static struct buf records;
    if (records.len == 0) {
        struct msg_message one = record_of(1, bytes_of_str("one")), two = record_of(2, BYTES_NONE);
        buf_init(&records, 1000);
        page_add(&records, &one);
        page_add(&records, &two);
    }
    struct msg m = msg_of(MSG_PAGE, 3);
    m.u.page = (struct msg_page){ .conv = conv_of_sample(), .head = 9, .more = true, .records = buf_bytes(&records) };
    return m;
}

static struct msg make_page_gone(void)
{
    static struct buf records, gone;
    if (records.len == 0) {
        struct msg_message one = record_of(5, bytes_of_str("one"));
        buf_init(&records, 1000);
        page_add(&records, &one);
        buf_init(&gone, 1000);
        gone_add(&gone, (struct gone){ 1, 4 });
        gone_add(&gone, (struct gone){ 6, 100000 });
    }
    struct msg m = msg_of(MSG_PAGE, 3);
    m.u.page = (struct msg_page){ .conv = conv_of_sample(), .head = 100000, .records = buf_bytes(&records),
                                  .gone = buf_bytes(&gone) };
    return m;
}

static struct msg make_page_empty(void)
{
    struct msg m = msg_of(MSG_PAGE, 3);
    m.u.page = (struct msg_page){ .conv = conv_of_sample() };
    return m;
}

static struct msg make_info_answer(void)
{
    static struct buf members;
    if (members.len == 0) {
        buf_init(&members, 1000);
        members_add(&members, &(struct member_state){ sample_user("alice"), NOW_MS, NOW_MS + 1, 0 });
        members_add(&members, &(struct member_state){ sample_user("bob"), NOW_MS, 0, 0 });
    }
    struct msg m = msg_of(MSG_INFO_ANSWER, 4);
    m.u.info_answer = (struct msg_info_answer){
        .conv = conv_of_sample(), .seq = 7, .id = id_of_sample(), .from = sample_user("alice"),
        .members = buf_bytes(&members),
    };
    return m;
}

static struct msg make_device_list(void)
{
    static struct buf devices;
    if (devices.len == 0) {
        buf_init(&devices, 1000);
        devices_add(&devices, &(struct device_entry){ { DEVICE_A }, bytes_of_str("phone"), NOW_MS, NOW_MS + 5, true });
        devices_add(&devices, &(struct device_entry){ .device = { DEVICE_B }, .created_ms = NOW_MS });
    }
    struct msg m = msg_of(MSG_DEVICE_LIST, 6);
    m.u.device_list = (struct msg_device_list){ 3, buf_bytes(&devices) };
    return m;
}

static struct msg make_pong(void)
{
    struct msg m = msg_of(MSG_PONG, 5);
    m.u.pong.now_ms = NOW_MS;
    return m;
}

static struct msg make_error(void)
{
    struct msg m = msg_of(MSG_ERROR, 2);
    m.u.error = (struct msg_error){
        .code = 60, .name = bytes_of_str("BUSY"), .text = bytes_of_str("try later"), .again = true, .again_in_ms = 1500,
    };
    return m;
}

static struct msg make_error_early(void)
{
    struct msg m = msg_of(MSG_ERROR, 0);
    m.u.error = (struct msg_error){ .code = 1, .name = bytes_of_str("MALFORMED") };
    return m;
}

/* ---- events ---- */

static struct msg make_message(void)
{
    struct msg m = msg_of(MSG_MESSAGE, 0);
    m.u.message = record_of(7, BYTES_OF(sample_body));
    return m;
}

static struct msg make_message_group(void)
{
    struct msg m = msg_of(MSG_MESSAGE, 0);
    m.u.message = (struct msg_message){
        .conv = conv_of_sample(), .seq = 8, .id = id_of_sample(), .kind = KIND_TOMBSTONE, .counted = 5,
        .from = sample_user("bob"), .device = { UINT64_MAX }, .client_seq = 10,
    };
    return m;
}

static struct msg make_message_expires(void)
{
    struct msg m = make_message();
    m.u.message.expiry_ms = NOW_MS + 60000;
    return m;
}

static struct msg make_receipt(void)
{
    struct msg m = msg_of(MSG_RECEIPT, 0);
    m.u.receipt = (struct msg_receipt){ conv_of_sample(), sample_user("bob"), 7, 4, NOW_MS };
    return m;
}

static struct msg make_device_changed(void)
{
    struct msg m = msg_of(MSG_DEVICE_CHANGED, 0);
    m.u.device_changed = (struct msg_device_changed){ 4, DEVICE_REVOKED, { DEVICE_B }, bytes_of_str("phone") };
    return m;
}

static struct msg make_synced(void)
{
    return msg_of(MSG_SYNCED, 0);
}

static struct msg make_goodbye(void)
{
    struct msg m = msg_of(MSG_GOODBYE, 0);
    m.u.goodbye = (struct msg_goodbye){ .code = 64, .text = bytes_of_str("stopping"), .back_in_ms = 2000 };
    return m;
}

static struct msg make_tombstone(void)
{
    struct msg m = msg_of(MSG_TOMBSTONE, 0);
    m.u.tombstone = (struct msg_tombstone){ conv_of_sample(), { 8, 100007 } };
    return m;
}

/* ---- the table ---- */

#define X10  "78787878787878787878"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct sample {
    const char *type;
    struct msg (*make)(void);
    const char *fields;
    const char *hex;
} samples[] = {
    { "HELLO", make_hello,
      "version user device token agent",
      "97010101a5616c696365cf0123456789abcdefc420000102030405060708090a0b0c0d0e0f101112131415161718191a"
      "1b1c1d1e1fab6578616d706c652f312e30" },
    { "SEND", make_send,
      "to client_seq settled body",
      "960202a3626f622928c4089200a568656c6c6f" },
    { "SEND", make_send_full,
      "to client_seq settled body group_version list_versions envelopes media wake expire_s",
      "9c02cfffffffffffffffffc4101932b259dc82a37a99a92662f9be860ccf7fffffffffffffff00c5012c"
      X100 X100 X100 "0781a3626f62038105c4016591a16d91a3626f62cd0e10" },
    { "DELIVERED", make_delivered,
      "to seq",
      "9404c0c4101932b259dc82a37a99a92662f9be860c07" },
    { "READ", make_read,
      "to seq",
      "940509a3626f62ce00011170" },
    { "HISTORY", make_history,
      "to before after limit",
      "960603c4101932b259dc82a37a99a92662f9be860ccd01f4c064" },
    { "HISTORY", make_history_after,
      "to before after limit",
      "960603a3626f62c0cd01f401" },
    { "HISTORY", make_history_around,
      "to before after limit around",
      "970603a3626f62c0c032cf0000018bcfe56800" },
    { "INFO", make_info,
      "to seq",
      "941004c4101932b259dc82a37a99a92662f9be860c07" },
    { "DEVICES", make_devices_list,
      "action",
      "930b0600" },
    { "DEVICES", make_devices_name,
      "action device name",
      "950b0601cffedcba9876543210ae6b69746368656e206c6170746f70" },
    { "DEVICES", make_devices_revoke,
      "action device",
      "940b0702cffedcba9876543210" },
    { "DELETE", make_remove,
      "to client_seq settled seqs",
      "960f08a3626f622a299207ce00011170" },
    { "TIMER", make_timer,
      "to client_seq settled expire_s",
      "961309c4101932b259dc82a37a99a92662f9be860c2b29ce00015180" },
    { "PING", make_ping,
      "",
      "921205" },
    { "WELCOME", make_welcome,
      "now_ms heartbeat_ms generation client_seq_max list_version server limits",
      "994001cf0000018bcfe56800cd7530c410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff2801ac7069706974642f302e312e30"
      "87af6672616d655f62797465735f6d6178ce00010000ae626f64795f62797465735f6d6178cd4000ae746578745f6279"
      "7465735f6d6178cd1000b377696e646f775f6d657373616765735f6d617840b077696e646f775f62797465735f6d6178"
      "ce00040000b0706167655f7265636f7264735f6d617864ad756e736574746c65645f6d6178cd0100" },
    { "ACCEPTED", make_accepted,
      "conv seq id client_seq",
      "964102c4101932b259dc82a37a99a92662f9be860c07c410018bcfe568007005800000000000000029" },
    { "ACCEPTED", make_accepted_expires,
      "conv seq id client_seq expiry_ms",
      "974102c4101932b259dc82a37a99a92662f9be860c07c410018bcfe568007005800000000000000029cf0000018bcfe6"
      "5260" },
    { "PAGE", make_page,
      "conv head more records",
      "964203c4101932b259dc82a37a99a92662f9be860c09c3929bc4101932b259dc82a37a99a92662f9be860c01c410018b"
      "cfe5680070058000000000000000010101a3626f62cffedcba98765432100992a5616c696365a3626f62c4036f6e659b"
      "c4101932b259dc82a37a99a92662f9be860c02c410018bcfe5680070058000000000000000010102a3626f62cffedcba"
      "98765432100992a5616c696365a3626f62c400" },
    { "PAGE", make_page_empty,
      "conv head more records",
      "964203c4101932b259dc82a37a99a92662f9be860c00c290" },
    { "PAGE", make_page_gone,
      "conv head more records gone",
      "974203c4101932b259dc82a37a99a92662f9be860cce000186a0c2919bc4101932b259dc82a37a99a92662f9be860c05"
      "c410018bcfe5680070058000000000000000010105a3626f62cffedcba98765432100992a5616c696365a3626f62c403"
      "6f6e65929201049206ce000186a0" },
    { "INFO_ANSWER", make_info_answer,
      "conv seq id from members",
      "974304c4101932b259dc82a37a99a92662f9be860c07c410018bcfe5680070058000000000000000a5616c6963659293"
      "a5616c696365cf0000018bcfe56800cf0000018bcfe5680193a3626f62cf0000018bcfe56800c0" },
    { "DEVICE_LIST", make_device_list,
      "version devices",
      "944606039295cf0123456789abcdefa570686f6e65cf0000018bcfe56800cf0000018bcfe56805c395cffedcba987654"
      "3210a0cf0000018bcfe56800c0c2" },
    { "PONG", make_pong,
      "now_ms",
      "934405cf0000018bcfe56800" },
    { "ERROR", make_error,
      "code name text again again_in_ms",
      "9745023ca442555359a9747279206c61746572c3cd05dc" },
    { "ERROR", make_error_early,
      "code name text again again_in_ms",
      "9745c001a94d414c464f524d4544a0c2c0" },
    { "MESSAGE", make_message,
      "conv seq id kind flags counted from device client_seq members body",
      "9d60c0c4101932b259dc82a37a99a92662f9be860c07c410018bcfe5680070058000000000000000010107a3626f62cf"
      "fedcba98765432100992a5616c696365a3626f62c4089200a568656c6c6f" },
    { "MESSAGE", make_message_group,
      "conv seq id kind flags counted from device client_seq members body",
      "9d60c0c4101932b259dc82a37a99a92662f9be860c08c410018bcfe5680070058000000000000000020005a3626f62cf"
      "ffffffffffffffff0ac0c400" },
    { "MESSAGE", make_message_expires,
      "conv seq id kind flags counted from device client_seq members body expiry_ms",
      "9e60c0c4101932b259dc82a37a99a92662f9be860c07c410018bcfe5680070058000000000000000010107a3626f62cf"
      "fedcba98765432100992a5616c696365a3626f62c4089200a568656c6c6fcf0000018bcfe65260" },
    { "RECEIPT", make_receipt,
      "conv user delivered read time_ms",
      "9761c0c4101932b259dc82a37a99a92662f9be860ca3626f620704cf0000018bcfe56800" },
    { "DEVICE_CHANGED", make_device_changed,
      "version what device name",
      "9665c00403cffedcba9876543210a570686f6e65" },
    { "SYNCED", make_synced,
      "",
      "9267c0" },
    { "GOODBYE", make_goodbye,
      "code text back_in_ms",
      "9568c040a873746f7070696e67cd07d0" },
    { "TOMBSTONE", make_tombstone,
      "conv from to",
      "9569c0c4101932b259dc82a37a99a92662f9be860c08ce000186a7" },
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* The bytes of lower-case hex digits, into memory of exactly their size, so that sanitizers see every byte read
 * behind it. The caller frees. */
static uint8_t *bytes_of_hex(const char *hex, size_t *len_out)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = strlen(hex) / 2;
    uint8_t *at = malloc(len > 0 ? len : 1);
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 | (strchr(digits, hex[2 * i + 1]) - digits));
    *len_out = len;
    return at;
}

#endif
