/* msg.h - the messages of the wire, as C sees them.
 *
 * One list of types, one struct for each, one union. docs/protocol.md is the contract in words; codec.h
 * turns these structs into MessagePack arrays `[type, ref, …]` and back, fields in the order in which they
 * stand here. Strings and bins of a decoded message point into the frame it came from.
 *
 * Columns: NAME, type code, union member, direction (C client to server, S server to client).
 * Codes: requests 1.., answers 64.., events 96... Codes of later work are kept free in docs/protocol.md. */
#ifndef PIPIT_PROTO_MSG_H
#define PIPIT_PROTO_MSG_H

#include "proto/id.h"
#include "proto/limits.h"

#define MSG_LIST(X)                       \
    X(HELLO,         1, hello,        C)  \
    X(SEND,          2, send,         C)  \
    X(DELIVERED,     4, cursor,       C)  \
    X(READ,          5, cursor,       C)  \
    X(HISTORY,       6, history,      C)  \
    X(DEVICES,      11, devices,      C)  \
    X(DELETE,       15, remove,       C)  \
    X(INFO,         16, info,         C)  \
    X(PING,         18, ping,         C)  \
    X(TIMER,        19, timer,        C)  \
    X(WELCOME,      64, welcome,      S)  \
    X(ACCEPTED,     65, accepted,     S)  \
    X(PAGE,         66, page,         S)  \
    X(INFO_ANSWER,  67, info_answer,  S)  \
    X(PONG,         68, pong,         S)  \
    X(ERROR,        69, error,        S)  \
    X(DEVICE_LIST,  70, device_list,  S)  \
    X(MESSAGE,      96, message,      S)  \
    X(RECEIPT,      97, receipt,      S)  \
    X(DEVICE_CHANGED, 101, device_changed, S)  \
    X(SYNCED,      103, synced,       S)  \
    X(GOODBYE,     104, goodbye,      S)  \
    X(TOMBSTONE,   105, tombstone,    S)

#define MSG_ENUM(name, code, member, direction) MSG_##name = (code),
enum msg_type { MSG_LIST(MSG_ENUM) };
#undef MSG_ENUM

/* Which conversation a request means: its id, or a user for the direct conversation with them. On the wire a
 * bin of 16 or a str. */
struct where {
    bool is_user;
    struct user_id user;
    struct conv_id conv;      /* zero when is_user */
};

/* What a record is; on the wire in MESSAGE and PAGE, on disk in the record. */
enum record_kind {
    KIND_MESSAGE = 1,
    KIND_TOMBSTONE = 2,       /* not on the wire: what a client keeps of one that was deleted */
    KIND_MARKS = 3,           /* on disk only: cursor moves, takes no sequence */
    KIND_DELETE = 4,          /* its sender deletes messages for everyone; body: their sequences, 8 bytes each */
    KIND_TIMER = 5,           /* a member sets how long messages stay; body: seconds, 8 bytes; 0: for good */
};
enum record_flags {
    RECORD_COUNTS = 1 << 0,            /* adds one to unread counts */
    RECORD_SENDER_CAUGHT_UP = 1 << 1,  /* on disk only: the sending device had acknowledged all before it */
};

struct msg_hello {
    uint64_t version;         /* PROTOCOL_VERSION */
    struct user_id user;
    struct device_id device;
    struct bytes token;       /* TOKEN_BYTES */
    struct bytes agent;       /* str, at most NAME_BYTES_MAX: program and version, for people who look */
};
struct msg_welcome {
    uint64_t now_ms;          /* the server's clock */
    uint64_t heartbeat_ms;    /* send anything at least this often; the server pings at this interval */
    uint8_t generation[16];   /* changes when the server was restored from a backup */
    uint64_t client_seq_max;  /* the highest this device ever used: go on above it */
    uint64_t list_version;    /* of the user's own device list */
    struct bytes server;      /* str: program and version */
    /* limits: LIMIT_LIST; unknown names are skipped, one not named is that of limits.h */
    uint64_t frame_bytes_max, body_bytes_max, text_bytes_max, window_messages_max, window_bytes_max,
             page_records_max, unsettled_max;
};
/* The members of msg_welcome that travel as a map of str to uint, by these names and in this order. */
#define LIMIT_LIST(X)      \
    X(frame_bytes_max)     \
    X(body_bytes_max)      \
    X(text_bytes_max)      \
    X(window_messages_max) \
    X(window_bytes_max)    \
    X(page_records_max)    \
    X(unsettled_max)

/* Positions behind `body` must be nil or empty until their features exist: the server then answers
 * ERR_UNSUPPORTED naming the field (send_unsupported). They may be left out from the end. */
struct msg_send {
    struct where to;
    uint64_t client_seq;      /* above 0; a number this device only ever raises */
    uint64_t settled;         /* all client sequences of this device below it have been answered */
    struct bytes body;        /* bin, 1..BODY_BYTES_MAX */
    uint64_t group_version;   /* uint or nil (0) */
    struct bytes list_versions;   /* the raw MessagePack of {user: version}, or none when nil */
    struct bytes envelopes;       /* raw {device: bin} */
    struct bytes media;           /* raw [reference, …] */
    struct bytes wake;            /* raw [user, …] */
    uint64_t expire_s;            /* uint or nil (0): it is gone so long after it was accepted, or sooner by the
                                   * conversation's timer; at most EXPIRE_S_MAX */
};
/* Both are records and named like a SEND: answered by ACCEPTED, exactly once. */
struct msg_remove {           /* DELETE */
    struct where to;
    uint64_t client_seq, settled;
    struct bytes seqs;        /* 1..DELETE_SEQS_MAX sequences above 0, raw as records; seqs_next() */
};
struct msg_timer {
    struct where to;
    uint64_t client_seq, settled;
    uint64_t expire_s;        /* 0: off; else TIMER_S_MIN..EXPIRE_S_MAX */
};
struct msg_accepted {
    struct conv_id conv;
    uint64_t seq;
    struct msg_id id;
    uint64_t client_seq;
    uint64_t expiry_ms;       /* as the record's MESSAGE tells it; nil (0): it stays. May be left out */
};
struct msg_cursor {           /* DELIVERED, READ: answered only by ERROR; ref may be nil */
    struct where to;
    uint64_t seq;
};
struct msg_history {
    struct where to;
    bool has_before;          /* else nil, and so for after; neither: the newest records */
    bool has_after;
    uint64_t before;          /* records below this sequence, newest first picked */
    uint64_t after;           /* records above it, oldest first picked; 0: from the first */
    uint64_t limit;           /* 1..PAGE_RECORDS_MAX */
    bool has_around;          /* else nil, and may be left out; of the three at most one is there */
    uint64_t around;          /* ms: half of the page before the first record made then or later, the rest from it on */
};
/* A record as devices see it. In MESSAGE these fields follow [type, nil; in PAGE each is an array. */
struct msg_message {
    struct conv_id conv;
    uint64_t seq;
    struct msg_id id;         /* carries the time */
    uint64_t kind;            /* enum record_kind */
    uint64_t flags;           /* RECORD_COUNTS */
    uint64_t counted;         /* counting records so far, this one included */
    struct user_id from;
    struct device_id device;
    uint64_t client_seq;
    /* a direct conversation: its members, lesser first (the same twice: notes to oneself); a group: nil */
    bool is_direct;
    struct user_id members[2];
    struct bytes body;        /* bin; empty when this device may not see it */
    uint64_t expiry_ms;       /* number or nil (0: none), may be left out: from then on nobody shows or keeps it */
};
struct msg_page {
    struct conv_id conv;
    uint64_t head;            /* the conversation's last sequence */
    bool more;                /* records exist beyond this page in the direction asked */
    struct bytes records;     /* in rising order, each a raw MessagePack array, no header before them; page_next() */
    struct bytes gone;        /* [from, to] each, in rising order, raw as records; gone_next(). May be left out */
};
/* Of the records from..to, both included, nothing is left that could be given. Ranges of a page do not touch. */
struct gone { uint64_t from, to; };
struct msg_info {
    struct where to;
    uint64_t seq;
};
struct msg_info_answer {
    struct conv_id conv;
    uint64_t seq;
    struct msg_id id;
    struct user_id from;
    struct bytes members;     /* [user, delivered_ms or nil, read_ms or nil, before] each, raw as records; members_next() */
};
struct member_state {
    struct user_id user;
    uint64_t delivered_ms;    /* 0: not yet (nil on the wire) */
    uint64_t read_ms;
    uint64_t before;          /* MEMBER_*, 0 may be left out: these times are the latest it can have been */
};
enum member_before { MEMBER_DELIVERED_BEFORE = 1 << 0, MEMBER_READ_BEFORE = 1 << 1 };
enum devices_action { DEVICES_LIST = 0, DEVICES_NAME = 1, DEVICES_REVOKE = 2 };
struct msg_devices {          /* answered by DEVICE_LIST, as the list is then */
    uint64_t action;          /* enum devices_action; another is the server's to refuse */
    struct device_id device;  /* nil (0) for DEVICES_LIST */
    bool has_name;            /* DEVICES_NAME has one; "" takes the name away */
    struct bytes name;        /* str or nil, one line of at most NAME_BYTES_MAX */
};
struct msg_device_list {
    uint64_t version;         /* rises with each change of the list */
    struct bytes devices;     /* [device, name, created_ms, live_ms or nil, mine] each, raw as records;
                               * devices_next() */
};
struct device_entry {
    struct device_id device;
    struct bytes name;
    uint64_t created_ms;
    uint64_t live_ms;         /* when it was last connected; now for one that is. 0: never (nil on the wire) */
    bool mine;                /* the device that asks */
};
enum device_change { DEVICE_ADDED = 1, DEVICE_NAMED = 2, DEVICE_REVOKED = 3 };
struct msg_device_changed {
    uint64_t version;         /* of the list after it */
    uint64_t what;            /* enum device_change */
    struct device_id device;
    struct bytes name;
};
struct msg_ping { uint8_t unused; };
struct msg_pong { uint64_t now_ms; };
struct msg_error {
    uint64_t code;            /* -ERR_* */
    struct bytes name;        /* str, err_name() */
    struct bytes text;        /* str, says which field or value */
    bool again;               /* repeat with the same client sequence and bytes */
    uint64_t again_in_ms;     /* nil (0): when you like */
};
struct msg_receipt {
    struct conv_id conv;
    struct user_id user;      /* whose cursors */
    uint64_t delivered;       /* sequence; the furthest of the user's devices */
    uint64_t read;
    uint64_t time_ms;         /* when the move was made */
};
struct msg_tombstone {
    struct conv_id conv;
    struct gone gone;
};
struct msg_synced { uint8_t unused; };
struct msg_goodbye {
    uint64_t code;
    struct bytes text;
    uint64_t back_in_ms;
};

struct msg {
    enum msg_type type;
    bool has_ref;
    uint64_t ref;             /* the request's number, repeated in its answer; nil in events. A request that
                               * is answered must have one; DELIVERED, READ and ERROR may. */
    union {
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_send send;
        struct msg_accepted accepted;
        struct msg_cursor cursor;
        struct msg_history history;
        struct msg_remove remove;
        struct msg_timer timer;
        struct msg_message message;
        struct msg_page page;
        struct msg_info info;
        struct msg_info_answer info_answer;
        struct msg_devices devices;
        struct msg_device_list device_list;
        struct msg_device_changed device_changed;
        struct msg_ping ping;
        struct msg_pong pong;
        struct msg_error error;
        struct msg_receipt receipt;
        struct msg_synced synced;
        struct msg_goodbye goodbye;
        struct msg_tombstone tombstone;
    } u;
};

#endif
