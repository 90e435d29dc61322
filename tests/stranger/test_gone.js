// test_gone.js - what was deleted or has disappeared: told as ranges, to who was behind and in pages; and pages around
// a time.
import assert from 'node:assert/strict';
import { bodyText } from './client/frames.js';
import { Messenger } from './client/messenger.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const range = (first, last) => Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);

const timeOf = ({ id }) => id.readUIntBE(0, 6);

function erase(session, to, ...seqs) {
    session.clientSeq += 1;
    return session.request('DELETE', { to, clientSeq: session.clientSeq, settled: session.clientSeq, seqs });
}

// alice has sent "1" to "6" to bob and then deleted 2, 3 and 5: that is record 7.
async function withGaps(stage) {
    const [alice, bob] = await stage.people('alice', 'bob');
    const session = await alice.session();
    for (const seq of range(1, 6)) await say(session, bob.name, `${seq}`);
    const { conv, seq } = await erase(session, bob.name, 2, 3, 5);
    assert.equal(seq, 7);
    return { alice, bob, session, conv };
}

// What a session has heard, in order: numbers for records, [from, to] for what is gone.
const heardBy = ({ ears }) => ears.heard.flatMap(({ type, seq, from, to }) => {
    if (type === 'TOMBSTONE') return [[from, to]];
    return type === 'MESSAGE' ? [seq] : [];
});

await tell({
    async who_was_behind_hears_ranges_in_their_place(stage) {
        const { bob, session, conv } = await withGaps(stage);
        const credentials = await bob.login();
        const first = await bob.session(credentials);
        assert.deepEqual(heardBy(first), [1, [2, 3], 4, [5, 5], 6, 7]);
        const tombstone = await first.ears.next('TOMBSTONE');
        assert.deepEqual(tombstone, { type: 'TOMBSTONE', ref: null, conv, from: 2, to: 3 });
        assert.equal((await first.ears.next('MESSAGE', ({ seq }) => seq === 7)).kind, 4);

        // Acknowledged like the messages that were there, it does not come again, and the sender sees it.
        first.tell('DELIVERED', { to: conv, seq: 3 });
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 3);
        await first.close();
        assert.deepEqual(heardBy(await bob.session(credentials)), [4, [5, 5], 6, 7]);
    },

    async what_has_disappeared_is_one_range_however_it_went(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        await say(session, bob.name, 'stays');
        for (const seq of range(2, 5)) {
            const { id, expiryMs } = await say(session, bob.name, `${seq}`, { expireS: 1 });
            assert.equal(expiryMs, timeOf({ id }) + 1000);
        }
        await say(session, bob.name, 'deleted');
        await erase(session, bob.name, 6);
        const page = () => session.request('HISTORY', { to: bob.name, limit: 10 });
        let now = await page();
        while (now.records.length > 2) now = await page();    // asked until their second is over
        assert.deepEqual(now.records.map(({ seq }) => seq), [1, 7]);
        assert.deepEqual(now.gone, [{ from: 2, to: 6 }]);
        assert.deepEqual(heardBy(await bob.session()), [1, [2, 6], 7]);
        for (const seq of [2, 6]) {
            await assert.rejects(session.request('INFO', { to: bob.name, seq }), { name: 'NOT_FOUND', again: false });
        }
    },

    async pages_answer_for_every_sequence(stage) {
        const { bob, session } = await withGaps(stage);
        const ask = async fields => {
            const { records, more, gone } = await session.request('HISTORY', { to: bob.name, ...fields });
            return { seqs: records.map(({ seq }) => seq), more, gone: gone?.map(({ from, to }) => [from, to]) ?? [] };
        };
        assert.deepEqual(await ask({ limit: 10 }), { seqs: [1, 4, 6, 7], more: false, gone: [[2, 3], [5, 5]] });
        assert.deepEqual(await ask({ limit: 2 }), { seqs: [6, 7], more: true, gone: [] });
        assert.deepEqual(await ask({ before: 6, limit: 1 }), { seqs: [4], more: true, gone: [[5, 5]] });
        assert.deepEqual(await ask({ before: 4, limit: 10 }), { seqs: [1], more: false, gone: [[2, 3]] });
        assert.deepEqual(await ask({ after: 1, limit: 1 }), { seqs: [4], more: true, gone: [[2, 3]] });
        assert.deepEqual(await ask({ after: 2, limit: 2 }), { seqs: [4, 6], more: true, gone: [[3, 3], [5, 5]] });
        assert.deepEqual(await ask({ after: 7, limit: 2 }), { seqs: [], more: false, gone: [] });
    },

    async a_client_that_was_behind_lacks_nothing_and_asks_nothing(stage) {
        const { bob, session } = await withGaps(stage);
        const messenger = new Messenger(stage.server.url, await bob.login());
        stage.onLeave(() => messenger.stop());
        const texts = [];
        messenger.on('message', ({ kind, body }) => { if (kind === 1) texts.push(bodyText(body)); });
        messenger.on('connected', () => {
            const ask = messenger.session.request.bind(messenger.session);
            messenger.session.request = (type, fields) => {
                assert.notEqual(type, 'HISTORY');
                return ask(type, fields);
            };
        });
        await messenger.connect();
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 7);
        assert.deepEqual(texts, ['1', '4', '6']);
    },

    async a_gap_of_ones_own_is_filled_with_what_is_left(stage) {
        const { bob, session, conv } = await withGaps(stage);
        const messenger = new Messenger(stage.server.url, await bob.login());
        stage.onLeave(() => messenger.stop());
        await messenger.connect();
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 7);

        // The store forgets all behind the first message, also what was gone; the next message shows it.
        const known = messenger.store.conversations.get(conv.toString('hex'));
        for (const seq of [4, 6, 7]) {
            known.messages.delete(known.bySeq.get(seq));
            known.bySeq.delete(seq);
        }
        known.gone = [];
        await say(session, bob.name, '8');
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 8);
        assert.deepEqual([...known.bySeq.keys()].sort(), [1, 4, 6, 7, 8]);
        assert.deepEqual(known.gone, [{ from: 2, to: 3 }, { from: 5, to: 5 }]);
    },

    async around_a_time_half_of_the_page_lies_before_it(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        const sent = [];
        for (const seq of range(1, 30)) sent.push(await say(session, bob.name, `${seq}`));
        const head = sent.length;
        const times = [0, ...sent.map(timeOf), timeOf(sent[0]) - 1, timeOf(sent[head - 1]) + 1, 2 ** 50];
        for (const around of times) {
            for (const limit of [1, 7, 10, 100]) {
                const at = sent.find(accepted => timeOf(accepted) >= around)?.seq ?? head + 1;
                const half = Math.floor(limit / 2);
                const first = Math.max(1, at - half), last = Math.min(head, at - 1 + limit - half);
                const { records, more } = await session.request('HISTORY', { to: bob.name, limit, around });
                assert.deepEqual(records.map(({ seq }) => seq), range(first, last), `${limit} around ${around}`);
                assert.equal(more, last < head);
            }
        }
    },

    async around_goes_with_no_other_bound(stage) {
        const { bob, session } = await withGaps(stage);
        for (const bound of [{ before: 5 }, { after: 0 }]) {
            await assert.rejects(session.request('HISTORY', { to: bob.name, limit: 5, around: 1, ...bound }),
                { name: 'RANGE', again: false });
        }
    },
});
