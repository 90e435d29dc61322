// messenger.js - what makes a client of a session: the "Rules of order".
//
// A message given to send() is sent once, however many connections that takes; a message that arrives is kept once, and
// acknowledged when it is kept. What has to outlive this process is in `store`, and each change of it is marked STORE:
// a client for people writes there to disk, before it goes on. This one keeps it in memory and outlives servers only.
//
// connect() makes one session; stay() makes the next one whenever one ends, until stop(), or until the server says that
// this device is not to come back. Emits 'connected', 'message' (new ones only), 'receipt', and 'refused' when a
// DELIVERED or READ is.
import { EventEmitter } from 'node:events';
import { Session } from './session.js';
import { LinkLost, PipitError } from './error.js';
import { textBody } from './frames.js';

const PAUSE_MS_MIN = 20, PAUSE_MS_MAX = 10_000;
const CLOCK_OFF_MS = 60_000;
const CLOSE_AUTH = 4020, CLOSE_REVOKED = 4025, CLOSE_REPLACED = 4026;

const KIND_MESSAGE = 1, KIND_TOMBSTONE = 2, KIND_DELETE = 4;

const hex = id => id.toString('hex');

export function newStore() {
    return {
        generation: null,
        clientSeqLast: 0,
        clockOffMs: 0,               // what the server's clock is ahead of ours, when that matters
        outbox: new Map(),           // client sequence -> { to, body }: not answered yet
        conversations: new Map(),    // id as hex -> see conversation()
    };
}

export class Messenger extends EventEmitter {
    constructor(server, credentials, store = newStore()) {
        super();
        Object.assign(this, { server, credentials, store, session: null, stopped: false });
        this.callers = new Map();    // client sequence -> { resolve, reject } of send()
        this.busy = new Set();       // client sequences under way in this session
    }

    // ---- the connection ----

    async connect() {
        const session = new Session(this.server, this.credentials);
        session.on('WELCOME', welcome => this.onWelcome(session, welcome));
        session.on('MESSAGE', message => this.onMessage(message));
        session.on('TOMBSTONE', tombstone => this.onTombstone(tombstone));
        session.on('RECEIPT', receipt => this.onReceipt(receipt));
        session.on('ERROR', error => this.emit('refused', error));
        await session.open();
        return session;
    }

    onWelcome(session, welcome) {
        const { generation, clientSeqMax, nowMs } = welcome;
        const offMs = nowMs - Date.now();
        this.store.clockOffMs = Math.abs(offMs) > CLOCK_OFF_MS ? offMs : 0;
        if (this.store.generation && !this.store.generation.equals(generation)) this.onRestored();
        this.store.generation = generation;
        this.store.clientSeqLast = Math.max(this.store.clientSeqLast, clientSeqMax);    // STORE
        this.session = session;
        this.busy.clear();
        this.emit('connected', welcome);
        this.pump();
    }

    // Connects as often as it takes. The pause grows, and has a random part so that not all come back at once.
    async stay() {
        let pauseMs = PAUSE_MS_MIN;
        while (!this.stopped) {
            let last = null;
            try {
                const session = await this.connect();
                pauseMs = PAUSE_MS_MIN;
                last = await session.ended;
            } catch (error) {
                if (error instanceof PipitError && !error.again) throw error;
                if (!(error instanceof PipitError || error instanceof LinkLost)) throw error;
            }
            if (this.stopped || [CLOSE_AUTH, CLOSE_REVOKED, CLOSE_REPLACED].includes(last?.code)) return;
            const waitMs = Math.max(pauseMs, last?.goodbye?.backInMs ?? 0) * (1 + Math.random());
            await new Promise(resolve => { setTimeout(resolve, waitMs); });
            pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
        }
    }

    async stop() {
        this.stopped = true;
        if (this.session) await this.session.close();
    }

    // The server came back from a backup: numbers of records mean nothing any more, what we have we know by its id.
    onRestored() {
        for (const conversation of this.store.conversations.values()) {
            conversation.bySeq.clear();
            conversation.gone = [];
            conversation.first = null;
            conversation.cursors.clear();
        }
    }

    // ---- sending ----

    // Resolves with { conv, seq, id } once the message is on the server's disk; rejects when it is refused for good.
    send(to, text) {
        this.store.clientSeqLast += 1;
        const clientSeq = this.store.clientSeqLast;
        this.store.outbox.set(clientSeq, { to, body: textBody(text) });    // STORE
        const answer = new Promise((resolve, reject) => { this.callers.set(clientSeq, { resolve, reject }); });
        this.pump();
        return answer;
    }

    // One send is under way to each place, so that none overtakes another when it has to be repeated.
    pump() {
        if (!this.session) return;
        const taken = new Set();
        for (const [clientSeq, { to }] of this.store.outbox) {
            const place = typeof to === 'string' ? to : hex(to);
            if (!taken.has(place) && !this.busy.has(clientSeq)) this.sendOne(clientSeq);
            taken.add(place);
        }
    }

    async sendOne(clientSeq) {
        const { session } = this;
        const { to, body } = this.store.outbox.get(clientSeq);
        const settled = Math.min(...this.store.outbox.keys());
        this.busy.add(clientSeq);
        try {
            this.onAccepted(await session.request('SEND', { to, clientSeq, settled, body }), body);
        } catch (error) {
            if (error instanceof LinkLost) return;    // connect() repeats it
            if (!(error instanceof PipitError)) throw error;
            if (error.again) {
                setTimeout(() => { this.busy.delete(clientSeq); this.pump(); }, error.waitMs ?? PAUSE_MS_MIN);
                return;
            }
            this.answered(clientSeq, ({ reject }) => reject(error));
        }
    }

    onAccepted({ conv, seq, id, clientSeq, expiryMs }, body) {
        const { user, device } = this.credentials;
        this.keep({ conv, seq, id, kind: 1, from: user, device, clientSeq, body, expiryMs });
        this.answered(clientSeq, ({ resolve }) => resolve({ conv, seq, id }));
    }

    answered(clientSeq, tell) {
        this.busy.delete(clientSeq);
        this.store.outbox.delete(clientSeq);    // STORE
        const caller = this.callers.get(clientSeq);
        this.callers.delete(clientSeq);
        if (caller) tell(caller);
        this.pump();
    }

    // ---- receiving ----

    conversation(conv) {
        const key = hex(conv);
        if (!this.store.conversations.has(key)) {
            this.store.conversations.set(key, {
                conv,
                bySeq: new Map(),      // sequence -> id as hex
                messages: new Map(),   // id as hex -> message
                gone: [],              // { from, to }: sequences of which nothing is left to be had
                first: null,           // of the sequences that are due to this device
                cursors: new Map(),    // user -> { delivered, read }
            });
        }
        return this.store.conversations.get(key);
    }

    // The end of what we have without a gap; null before it has begun. It begins with the first MESSAGE or TOMBSTONE,
    // or with sequence 1: below an own send further up a record may still be on its way.
    stored({ first, bySeq, gone }) {
        if (first === null) return null;
        let seq = first;
        for (;;) {
            const over = gone.find(({ from, to }) => from <= seq + 1 && to > seq);
            if (over) seq = over.to;
            else if (bySeq.has(seq + 1)) seq += 1;
            else return seq;
        }
    }

    // The highest sequence that we know of, there or gone.
    highest({ bySeq, gone }) {
        return Math.max(...bySeq.keys(), ...gone.map(({ to }) => to));
    }

    // True when the message is new.
    keep(message) {
        const conversation = this.conversation(message.conv);
        const key = hex(message.id);
        const isNew = !conversation.messages.has(key);
        conversation.bySeq.set(message.seq, key);
        if (message.seq === 1) conversation.first = 1;
        if (isNew) conversation.messages.set(key, message);    // STORE
        if (message.kind === KIND_DELETE) this.forget(conversation, message.body);
        return isNew;
    }

    // Deleted by who sent it. What is not here is gone with the server too.
    forget({ bySeq, messages }, deleted) {
        for (let at = 0; at + 8 <= deleted.length; at += 8) {
            const message = messages.get(bySeq.get(Number(deleted.readBigUInt64BE(at))));
            if (message?.kind === KIND_MESSAGE) Object.assign(message, { kind: KIND_TOMBSTONE, body: Buffer.alloc(0) });
        }                                                      // STORE
    }

    // What is here under this sequence. A message that has had its time is nowhere: a client for people looks each
    // minute or so and takes it from its disk.
    message(conv, seq) {
        const { bySeq, messages } = this.conversation(conv);
        const message = messages.get(bySeq.get(seq));
        const nowMs = Date.now() + this.store.clockOffMs;
        if (message?.expiryMs && message.expiryMs <= nowMs) message.body = Buffer.alloc(0);    // STORE
        return message;
    }

    onMessage(message) {
        const conversation = this.conversation(message.conv);
        conversation.first ??= message.seq;
        const isNew = this.keep(message);
        if (message.device === this.credentials.device) {
            this.answered(message.clientSeq, ({ resolve }) => resolve(message));    // as good as ACCEPTED
        }
        if (isNew) this.emit('message', message);
        this.acknowledge(conversation, message.seq);
    }

    // Nothing of it is taken away here: what we have of it we may keep. It is acknowledged as the messages would be.
    onTombstone({ conv, from, to }) {
        const conversation = this.conversation(conv);
        conversation.first ??= from;
        conversation.gone.push({ from, to });    // STORE
        this.acknowledge(conversation, to);
    }

    acknowledge(conversation, seq) {
        const stored = this.stored(conversation);
        if (stored >= seq) this.session.tell('DELIVERED', { to: conversation.conv, seq: stored });
        else this.fillGap(conversation);
    }

    // Our own send whose ACCEPTED is still on its way looks like a gap for a moment; asking for it does no harm.
    async fillGap(conversation) {
        if (conversation.filling) return;
        conversation.filling = true;
        try {
            for (;;) {
                const after = this.stored(conversation);
                if (after >= this.highest(conversation)) break;
                const page = await this.session.request('HISTORY', { to: conversation.conv, after, limit: 100 });
                for (const record of page.records) if (this.keep(record)) this.emit('message', record);
                conversation.gone.push(...page.gone ?? []);    // STORE
            }
            this.session.tell('DELIVERED', { to: conversation.conv, seq: this.stored(conversation) });
        } catch (error) {
            if (!(error instanceof LinkLost || error.again)) throw error;    // the next message finds the gap again
        } finally {
            conversation.filling = false;
        }
    }

    // The person has seen all that is here.
    read(conv) {
        const conversation = this.conversation(conv);
        const seq = this.stored(conversation);
        if (seq === null) return;
        conversation.readSaid = seq;    // STORE
        this.session.tell('READ', { to: conv, seq });
    }

    // How many messages of a conversation this user has not seen, as the page counts: from what was read last, on any
    // device, or from the user's own last message, whichever is later.
    async unread(conv) {
        const { messages, cursors, readSaid } = this.conversation(conv);
        const { user } = this.credentials;
        const known = [...messages.values()];
        const read = Math.max(readSaid ?? 0, cursors.get(user)?.read ?? 0);
        const said = known.filter(({ from, kind }) => from === user && kind <= KIND_TOMBSTONE);
        const seen = Math.max(read, ...said.map(({ seq }) => seq));
        const newest = Math.max(0, ...known.map(({ seq }) => seq));
        if (seen >= newest) return 0;
        return await this.countedAt(conv, newest) - await this.countedAt(conv, seen);
    }

    // `counted` of a record. ACCEPTED does not say it, and a new device has not all records: then the server is asked.
    async countedAt(conv, seq) {
        if (seq === 0) return 0;
        const { bySeq, messages } = this.conversation(conv);
        const have = messages.get(bySeq.get(seq))?.counted;
        if (have !== undefined) return have;
        const { records } = await this.session.request('HISTORY', { to: conv, before: seq + 1, limit: 1 });
        return records[0]?.counted ?? 0;
    }

    onReceipt(receipt) {
        const { cursors, readSaid } = this.conversation(receipt.conv);
        const had = cursors.get(receipt.user) ?? { delivered: 0, read: 0 };
        cursors.set(receipt.user, {
            delivered: Math.max(had.delivered, receipt.delivered), read: Math.max(had.read, receipt.read),
        });
        if (receipt.user === this.credentials.user && receipt.read < (readSaid ?? 0)) {
            this.session.tell('READ', { to: receipt.conv, seq: readSaid });
        }
        this.emit('receipt', receipt);
    }
}
