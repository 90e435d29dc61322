/* floor.c - the least a server can do that keeps the same promise: what pipitd's figures are held against.
 *
 * It speaks the same five frames (floor_frames.c) and syncs as pipitd does: a turn's messages are one write and one
 * fdatasync on a second thread, the next turn's gather meanwhile, and nothing is told before its sync. A message costs
 * as many bytes on disk as pipitd's record; a delivery a mark of 40 bytes in the next batch, one for each pair and
 * batch, and RECEIPT goes out when that is on disk. Output is gathered: one send for each socket and turn.
 *
 * What it leaves out is the distance to be measured: users, tokens, checks, repeats, cursors, encryption, checksums,
 * an index, crossing between shards, and all reading of WebSocket and MessagePack but numbers at places known before.
 * The pairs are divided over `threads` lanes, each with a loop, a file and a committer of its own. Opening a
 * connection is not measured and goes through the real codec.
 *
 *   main thread   accept, upgrade, HELLO -> WELCOME, SYNCED, then the socket joins its pair's lane
 *   lane          epoll: frames in, batch out, finished batches in, frames out
 *   committer     write, fdatasync, wake the lane */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/bench.h"
#include "tools/bench/floor.h"

enum {
    PAIRS_MAX = 4096,
    LANES_MAX = 64,
    ITEMS_MAX = 16384,             /* in one batch: all that PAIRS_MAX pairs would have in flight is far less */
    BATCH_ROOM = 8 * 1024 * 1024,
    MARK_BYTES = 40,
    IN_BYTES = 32 * 1024,          /* a peer's input: 64 messages in flight and a half frame */
    OUT_BYTES = 256 * 1024,
    EVENTS_MAX = 512,
    CLIENT_HEAD = 8,               /* of SEND: two bytes, length in two, mask in four */
    CLIENT_HEAD_SHORT = 6,         /* of DELIVERED, below 126 bytes */
};

struct end {                       /* one connection */
    int fd;
    struct lane *lane;
    struct pair *pair;
    unsigned side;                 /* 0: sender, 1: receiver */
    uint8_t in[IN_BYTES];
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    bool dirty, closed;            /* a dirty one is freed by the flush */
};

struct pair {
    struct end *_Atomic end[2];    /* set by main, cleared by the lane */
    uint16_t seq;                  /* of the last message */
    uint64_t marked_batch;         /* the batch that holds this pair's mark, and which item of it */
    uint32_t marked_item;
    struct floor_frame accepted, message, receipt;
};

struct item {
    struct pair *pair;
    bool is_mark;
    uint16_t seq, ref, client_seq;
    uint32_t body;                 /* offset of the body in the batch's bytes */
};

struct batch {
    uint64_t number;
    struct item items[ITEMS_MAX];
    uint32_t count;
    uint8_t *bytes;
    size_t len;
};

struct lane {
    int epoll, file, wake;
    uint64_t file_end;
    size_t record_bytes;
    const struct floor_layout *layout;
    struct batch batch[2], *open;  /* the open one, and the other: in flight when `busy` */
    bool busy;
    struct end *dirty[2 * PAIRS_MAX];
    uint32_t dirty_count;
    pthread_mutex_t mutex;         /* guards `given` */
    pthread_cond_t more;
    struct batch *given;           /* to the committer; NULL: nothing to do, or done */
    atomic_bool done;              /* the batch in flight is on disk */
};

static struct pair *pairs;         /* PAIRS_MAX */

/* ---- the committer ---- */

static void *committer_run(void *arg)
{
    struct lane *lane = arg;
    for (;;) {
        pthread_mutex_lock(&lane->mutex);
        while (!lane->given) pthread_cond_wait(&lane->more, &lane->mutex);
        struct batch *batch = lane->given;
        lane->given = NULL;
        pthread_mutex_unlock(&lane->mutex);
        ssize_t n = pwrite(lane->file, batch->bytes, batch->len, (off_t)lane->file_end);
        if (n != (ssize_t)batch->len || fdatasync(lane->file) != 0) die("floor: write: %s", strerror(errno));
        lane->file_end += batch->len;
        atomic_store(&lane->done, true);
        uint64_t one = 1;
        if (write(lane->wake, &one, sizeof one) != sizeof one) die("floor: wake: %s", strerror(errno));
    }
    return NULL;
}

static void lane_commit(struct lane *lane)
{
    if (lane->busy || lane->open->count == 0) return;
    struct batch *batch = lane->open;
    lane->open = batch == &lane->batch[0] ? &lane->batch[1] : &lane->batch[0];
    lane->open->number = batch->number + 1;
    lane->open->count = 0;
    lane->open->len = 0;
    lane->busy = true;
    pthread_mutex_lock(&lane->mutex);
    lane->given = batch;
    pthread_cond_signal(&lane->more);
    pthread_mutex_unlock(&lane->mutex);
}

/* ---- frames out ---- */

static uint8_t *end_room(struct end *end, size_t len)
{
    if (end->out_len + len > OUT_BYTES) die("floor: a peer does not read");
    if (!end->dirty) {
        end->dirty = true;
        end->lane->dirty[end->lane->dirty_count++] = end;
    }
    uint8_t *at = end->out + end->out_len;
    end->out_len += len;
    return at;
}

static uint8_t *end_put(struct end *end, const struct floor_frame *frame)
{
    return memcpy(end_room(end, frame->len), frame->bytes, frame->len);
}

static void item_tell(struct batch *batch, const struct item *item)
{
    struct pair *pair = item->pair;
    struct end *from = atomic_load(&pair->end[0]), *to = atomic_load(&pair->end[1]);
    if (item->is_mark) {
        if (from) put_u16(end_put(from, &pair->receipt) + pair->receipt.seq, item->seq);
        return;
    }
    if (from) {
        uint8_t *at = end_put(from, &pair->accepted);
        put_u16(at + pair->accepted.ref, item->ref);
        put_u16(at + pair->accepted.seq, item->seq);
        put_u16(at + pair->accepted.client_seq, item->client_seq);
    }
    if (to) {
        uint8_t *at = end_put(to, &pair->message);
        put_u16(at + pair->message.seq, item->seq);
        put_u16(at + pair->message.counted, item->seq);
        put_u16(at + pair->message.client_seq, item->client_seq);
        memcpy(at + pair->message.body, batch->bytes + item->body, BENCH_BODY_BYTES);
    }
}

static void lane_on_synced(struct lane *lane)
{
    uint64_t count;
    if (read(lane->wake, &count, sizeof count) != sizeof count || !atomic_exchange(&lane->done, false)) return;
    struct batch *batch = lane->open == &lane->batch[0] ? &lane->batch[1] : &lane->batch[0];
    for (uint32_t i = 0; i < batch->count; i++) item_tell(batch, &batch->items[i]);
    lane->busy = false;
}

static void end_free(struct end *end)
{
    close(end->fd);
    free(end->out);
    free(end);
}

static void lane_flush(struct lane *lane)
{
    for (uint32_t i = 0; i < lane->dirty_count; i++) {
        struct end *end = lane->dirty[i];
        if (end->closed) {
            end_free(end);
            continue;
        }
        /* Counted in /proc as a write, as pipitd's are. A peer that has gone is met at the next read. */
        ssize_t n = write(end->fd, end->out, end->out_len);
        if (n >= 0 && (size_t)n != end->out_len) die("floor: a peer does not read");
        end->out_len = 0;
        end->dirty = false;
    }
    lane->dirty_count = 0;
}

/* ---- frames in ---- */

static struct item *lane_item(struct lane *lane, struct pair *pair, size_t bytes)
{
    struct batch *batch = lane->open;
    if (batch->count == ITEMS_MAX || batch->len + bytes > BATCH_ROOM) die("floor: a batch is full");
    struct item *item = &batch->items[batch->count++];
    item->pair = pair;
    return item;
}

static uint16_t masked_u16(const uint8_t *payload, const uint8_t *mask, size_t at)
{
    return (uint16_t)((payload[at] ^ mask[at % 4]) << 8 | (payload[at + 1] ^ mask[(at + 1) % 4]));
}

static void end_on_send(struct end *end, const uint8_t *mask, const uint8_t *payload)
{
    struct lane *lane = end->lane;
    const struct floor_layout *layout = lane->layout;
    struct item *item = lane_item(lane, end->pair, lane->record_bytes);
    if (end->pair->seq == UINT16_MAX) die("floor: a pair has used up its numbers: shorter rounds, please");
    item->is_mark = false;
    item->seq = ++end->pair->seq;
    item->ref = masked_u16(payload, mask, layout->send_ref);
    item->client_seq = masked_u16(payload, mask, layout->send_client_seq);
    /* The record: what is not the body is whatever was there. */
    uint8_t *to = lane->open->bytes + lane->open->len;
    for (size_t i = 0, at = layout->send_body; i < BENCH_BODY_BYTES; i++, at++) to[i] = payload[at] ^ mask[at % 4];
    item->body = (uint32_t)lane->open->len;
    lane->open->len += lane->record_bytes;
}

static void end_on_delivered(struct end *end, const uint8_t *mask, const uint8_t *payload)
{
    struct lane *lane = end->lane;
    struct pair *pair = end->pair;
    uint16_t seq = masked_u16(payload, mask, lane->layout->delivered_seq);
    if (pair->marked_batch == lane->open->number) {
        lane->open->items[pair->marked_item].seq = seq;
        return;
    }
    struct item *item = lane_item(lane, pair, MARK_BYTES);
    item->is_mark = true;
    item->seq = seq;
    pair->marked_batch = lane->open->number;
    pair->marked_item = lane->open->count - 1;
    lane->open->len += MARK_BYTES;
}

static void end_close(struct end *end)
{
    /* The next run's connection may have taken the place already. */
    struct end *self = end;
    atomic_compare_exchange_strong(&end->pair->end[end->side], &self, NULL);
    epoll_ctl(end->lane->epoll, EPOLL_CTL_DEL, end->fd, NULL);
    if (end->dirty) end->closed = true;
    else end_free(end);
}

static void end_read(struct end *end)
{
    ssize_t n = read(end->fd, end->in + end->in_len, IN_BYTES - end->in_len);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) return;
        end_close(end);
        return;
    }
    end->in_len += (size_t)n;
    const struct floor_layout *layout = end->lane->layout;
    size_t used = 0;
    for (;;) {
        const uint8_t *at = end->in + used;
        size_t left = end->in_len - used;
        if (left >= 2 && at[1] == (0x80 | 126) && left >= CLIENT_HEAD + (size_t)layout->send_len) {
            end_on_send(end, at + 4, at + CLIENT_HEAD);
            used += CLIENT_HEAD + (size_t)layout->send_len;
        } else if (left >= 2 && at[1] == (0x80 | layout->delivered_len) &&
                   left >= CLIENT_HEAD_SHORT + (size_t)layout->delivered_len) {
            end_on_delivered(end, at + 2, at + CLIENT_HEAD_SHORT);
            used += CLIENT_HEAD_SHORT + (size_t)layout->delivered_len;
        } else {
            break;
        }
    }
    end->in_len -= used;
    memmove(end->in, end->in + used, end->in_len);
    if (end->in_len == IN_BYTES) die("floor: neither SEND nor DELIVERED");
}

static void *lane_run(void *arg)
{
    struct lane *lane = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(lane->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == lane) lane_on_synced(lane);
            else end_read(events[i].data.ptr);
        }
        lane_commit(lane);    /* first: the disk works while the sockets are served */
        lane_flush(lane);
    }
    return NULL;
}

static void lane_start(struct lane *lane, const char *folder, uint32_t number, const struct floor_layout *layout)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/floor-%u", folder, number);
    lane->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (lane->file < 0) die("%s: %s", path, strerror(errno));
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    lane->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = lane };
    if (lane->epoll < 0 || lane->wake < 0 || epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->wake, &event) != 0)
        die("floor: %s", strerror(errno));
    lane->layout = layout;
    lane->record_bytes = floor_record_bytes();
    lane->open = &lane->batch[0];
    lane->open->number = 1;
    for (int i = 0; i < 2; i++)
        if (!(lane->batch[i].bytes = calloc(1, BATCH_ROOM))) die("floor: no memory");
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_cond_init(&lane->more, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, committer_run, lane) != 0 || pthread_create(&thread, NULL, lane_run, lane) != 0)
        die("floor: no thread");
}

/* ---- opening a connection, on the main thread; blocking, one after the other ---- */

static void read_exactly(int fd, void *to, size_t len)
{
    ssize_t n = recv(fd, to, len, MSG_WAITALL);
    if (n != (ssize_t)len) die("floor: a peer went while connecting");
}

static void say(int fd, const struct msg *msg)
{
    struct buf payload;
    buf_init(&payload, FRAME_BYTES_MAX);
    if (msg_encode(msg, &payload) != 0) die("floor: cannot encode");
    uint8_t head[WSFRAME_HEADER_MAX];
    size_t len = wsframe_header(head, WSFRAME_BINARY, payload.len);
    if (send(fd, head, len, MSG_MORE) < 0 || send(fd, payload.at, payload.len, 0) < 0)
        die("floor: write: %s", strerror(errno));
    buf_fini(&payload);
}

/* Reads the HTTP request up to its empty line, answers, reads HELLO; returns the user's number. */
static uint32_t greet(int fd)
{
    uint8_t in[512];
    uint32_t tail = 0;
    do {
        read_exactly(fd, in, 1);
        tail = tail << 8 | in[0];
    } while (tail != 0x0d0a0d0a);
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n";
    if (send(fd, upgraded, sizeof upgraded - 1, 0) < 0) die("floor: write: %s", strerror(errno));
    read_exactly(fd, in, CLIENT_HEAD_SHORT);
    size_t len = in[1] & 0x7f;
    if (len > 125) die("floor: HELLO is longer than expected");
    uint8_t mask[4], payload[125];
    memcpy(mask, in + 2, sizeof mask);
    read_exactly(fd, payload, len);
    for (size_t i = 0; i < len; i++) payload[i] ^= mask[i % 4];
    struct msg msg;
    const char *why;
    uint32_t number;
    if (msg_decode(bytes_of(payload, len), &msg, &why) != 0 || msg.type != MSG_HELLO ||
        bench_user_number(&msg.u.hello.user, &number) != 0 || number / 2 >= PAIRS_MAX) die("floor: no HELLO");
    return number;
}

static void end_open(int fd, struct lane *lanes, uint32_t lane_count)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint32_t number = greet(fd);
    struct end *end = calloc(1, sizeof *end);
    if (!end || !(end->out = malloc(OUT_BYTES))) die("floor: no memory");
    end->fd = fd;
    end->pair = &pairs[number / 2];
    end->side = number % 2;
    end->lane = &lanes[(number / 2) % lane_count];
    if (end->side == 0) {          /* a new run: nothing of this pair is under way, it has no ends */
        floor_accepted_make(number, &end->pair->accepted);
        floor_message_make(number, &end->pair->message);
        floor_receipt_make(number, &end->pair->receipt);
        end->pair->seq = FLOOR_FIRST;
    }
    atomic_store(&end->pair->end[end->side], end);
    struct msg welcome = { .type = MSG_WELCOME, .has_ref = true, .ref = 1 };
    welcome.u.welcome = (struct msg_welcome){ .client_seq_max = FLOOR_FIRST, .server = bytes_of_str("floor") };
    say(fd, &welcome);
    struct msg synced = { .type = MSG_SYNCED };
    say(fd, &synced);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = end };
    if (epoll_ctl(end->lane->epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("floor: %s", strerror(errno));
}

void floor_serve(const char *folder, uint32_t threads)
{
    if (threads < 1 || threads > LANES_MAX) die("floor: 1 to %d threads", LANES_MAX);
    signal(SIGPIPE, SIG_IGN);
    static struct floor_layout layout;
    floor_layout_make(&layout);
    struct lane *lanes = calloc(threads, sizeof *lanes);
    pairs = calloc(PAIRS_MAX, sizeof *pairs);
    if (!lanes || !pairs) die("floor: no memory");
    for (uint32_t i = 0; i < threads; i++) lane_start(&lanes[i], folder, i, &layout);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 512) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0) die("floor: %s", strerror(errno));
    printf("floor: ready on 127.0.0.1:%u, %u threads\n", ntohs(at.sin_port), threads);
    fflush(stdout);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) die("floor: accept: %s", strerror(errno));
        end_open(fd, lanes, threads);
    }
}
