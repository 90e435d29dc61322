// test_history.js - HISTORY in both directions, and INFO.
import assert from 'node:assert/strict';
import { bodyText } from './client/frames.js';
import { Messenger } from './client/messenger.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

// alice and bob, and a conversation of `count` messages "1", "2", …, all of alice.
async function conversation(stage, count) {
    const [alice, bob] = await stage.people('alice', 'bob');
    const session = await alice.session();
    for (let seq = 1; seq <= count; seq++) await say(session, bob.name, `${seq}`);
    const page = async fields => {
        const { records, more, head } = await session.request('HISTORY', { to: bob.name, ...fields });
        assert.equal(head, count);
        return { seqs: records.map(({ seq }) => seq), more };
    };
    return { alice, bob, session, page };
}

const range = (first, last) => Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);

await tell({
    async without_bounds_the_newest_records_come(stage) {
        const { page } = await conversation(stage, 30);
        assert.deepEqual(await page({ limit: 10 }), { seqs: range(21, 30), more: true });
        assert.deepEqual(await page({ limit: 30 }), { seqs: range(1, 30), more: false });
        assert.deepEqual(await page({ limit: 100 }), { seqs: range(1, 30), more: false });
    },

    async pages_go_back_from_a_sequence_to_the_first(stage) {
        const { page } = await conversation(stage, 25);
        assert.deepEqual(await page({ before: 21, limit: 10 }), { seqs: range(11, 20), more: true });
        assert.deepEqual(await page({ before: 11, limit: 10 }), { seqs: range(1, 10), more: false });
        assert.deepEqual(await page({ before: 2, limit: 10 }), { seqs: [1], more: false });
        assert.deepEqual(await page({ before: 1000, limit: 10 }), { seqs: range(16, 25), more: true });
    },

    async pages_go_forward_from_a_sequence_to_the_last(stage) {
        const { page } = await conversation(stage, 25);
        assert.deepEqual(await page({ after: 3, limit: 10 }), { seqs: range(4, 13), more: true });
        assert.deepEqual(await page({ after: 15, limit: 10 }), { seqs: range(16, 25), more: false });
        assert.deepEqual(await page({ after: 24, limit: 1 }), { seqs: [25], more: false });
        assert.deepEqual(await page({ after: 23, limit: 1 }), { seqs: [24], more: true });
    },

    async above_0_is_everything_from_the_first(stage) {
        const { page } = await conversation(stage, 25);
        assert.deepEqual(await page({ after: 0, limit: 10 }), { seqs: range(1, 10), more: true });
        assert.deepEqual(await page({ after: 0, limit: 100 }), { seqs: range(1, 25), more: false });
    },

    async where_nothing_lies_the_page_is_empty(stage) {
        const { page } = await conversation(stage, 5);
        for (const bounds of [{ before: 0 }, { before: 1 }, { after: 5 }, { after: 6 }, { after: 2 ** 40 }]) {
            assert.deepEqual(await page({ ...bounds, limit: 10 }), { seqs: [], more: false });
        }
    },

    async a_page_ends_before_its_frame_is_too_large_and_says_more(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        for (let i = 1; i <= 9; i++) await say(session, bob.name, '', { body: Buffer.alloc(16384, i) });
        const seen = [];
        for (let after = 0, more = true; more;) {
            const page = await session.request('HISTORY', { to: bob.name, after, limit: 100 });
            assert.ok(page.records.length >= 1 && page.records.length < 9);
            seen.push(...page.records);
            after = seen[seen.length - 1].seq;
            ({ more } = page);
        }
        assert.deepEqual(seen.map(({ seq, body }) => [seq, body.length, body[0]]), range(1, 9).map(i => [i, 16384, i]));
        const back = [];
        for (let before = null, more = true; more;) {
            const page = await session.request('HISTORY', { to: bob.name, before, limit: 100 });
            back.unshift(...page.records);
            before = back[0].seq;
            ({ more } = page);
        }
        assert.deepEqual(back, seen);
    },

    async a_record_of_a_page_is_the_MESSAGE_it_was(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [session, ofBob] = [await alice.session(), await bob.session()];
        await say(session, bob.name, 'the same');
        const { type, ref, ...message } = await ofBob.ears.next('MESSAGE');
        assert.deepEqual([type, ref], ['MESSAGE', null]);
        for (const each of [session, ofBob]) {
            const { records } = await each.request('HISTORY', { to: message.conv, limit: 1 });
            assert.deepEqual(records, [message]);
        }
    },

    async a_conversation_that_is_none_has_no_history(stage) {
        const { session, alice } = await conversation(stage, 1);
        for (const to of [alice.name, 'nobody.at.all', Buffer.alloc(16)]) {
            await assert.rejects(session.request('HISTORY', { to, limit: 1 }), { name: 'NOT_FOUND', again: false });
        }
    },

    async a_gap_in_what_a_device_has_is_filled_by_HISTORY(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        const messenger = new Messenger(stage.server.url, await bob.login());
        stage.onLeave(() => messenger.stop());
        const texts = [];
        const heard = count => new Promise(resolve => {
            messenger.on('message', () => { if (texts.length === count) resolve(); });
        });
        messenger.on('message', ({ body }) => texts.push(bodyText(body)));
        const three = heard(3);
        await messenger.connect();
        for (const text of ['1', '2', '3']) await say(session, bob.name, text);
        await three;

        // The store loses two of them, in the middle and at the end; the next message shows it.
        const [known] = messenger.store.conversations.values();
        for (const seq of [2, 3]) {
            known.messages.delete(known.bySeq.get(seq));
            known.bySeq.delete(seq);
        }
        texts.length = 0;
        const again = heard(3);
        await say(session, bob.name, '4');
        await again;
        assert.deepEqual(texts, ['4', '2', '3']);
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 4);
    },

    async INFO_tells_who_has_a_message_and_since_when(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [session, ofBob] = [await alice.session(), await bob.session()];
        const accepted = await say(session, bob.name, 'have you got it?');
        const info = async () => session.request('INFO', { to: bob.name, seq: 1 });
        const { conv, seq, id, from, members } = await info();
        assert.deepEqual([conv, seq, id, from], [accepted.conv, 1, accepted.id, alice.name]);
        assert.deepEqual(members, [{ user: bob.name, deliveredMs: null, readMs: null }]);

        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        await session.ears.next('RECEIPT', ({ delivered }) => delivered === 1);
        const [delivered] = (await info()).members;
        assert.ok(delivered.deliveredMs >= id.readUIntBE(0, 6) && delivered.readMs === null);

        ofBob.tell('READ', { to: conv, seq: 1 });
        await session.ears.next('RECEIPT', ({ read }) => read === 1);
        const [read] = (await info()).members;
        assert.equal(read.deliveredMs, delivered.deliveredMs);
        assert.ok(read.readMs >= read.deliveredMs);
    },

    async INFO_is_of_each_message_for_itself(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [session, ofBob] = [await alice.session(), await bob.session()];
        const { conv } = await say(session, bob.name, 'one');
        ofBob.tell('READ', { to: alice.name, seq: 1 });
        await session.ears.next('RECEIPT', ({ read }) => read === 1);
        await say(session, bob.name, 'two');
        const states = [];
        for (const seq of [1, 2]) states.push((await session.request('INFO', { to: conv, seq })).members[0]);
        assert.ok(states[0].readMs > 0);
        assert.deepEqual(states[1], { user: bob.name, deliveredMs: null, readMs: null });
        const ofTheOther = await ofBob.request('INFO', { to: conv, seq: 1 });    // bob may ask as well: himself is told
        assert.deepEqual(ofTheOther.members.map(({ user }) => user), [bob.name]);
    },

    async INFO_of_no_message_is_NOT_FOUND(stage) {
        const { session, bob } = await conversation(stage, 2);
        for (const seq of [0, 3, 2 ** 40]) {
            await assert.rejects(session.request('INFO', { to: bob.name, seq }), { name: 'NOT_FOUND', again: false });
        }
    },
});
