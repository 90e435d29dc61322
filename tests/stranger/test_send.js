// test_send.js - "Sending and repeats": a number names a send, and a send is done once.
import assert from 'node:assert/strict';
import { bodyText, textBody } from './client/frames.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const UNSETTLED_MAX = 256;

// alice in a session, and bob who has an account.
async function pair(stage) {
    const [alice, bob] = await stage.people('alice', 'bob');
    return { alice, bob, session: await alice.session() };
}

// One SEND, its number and all else as given.
const send = (session, to, clientSeq, settled, text) =>
    session.request('SEND', { to, clientSeq, settled, body: textBody(text) });

// The texts of a conversation, from its first record.
async function texts(session, to) {
    const { records, more } = await session.request('HISTORY', { to, after: 0, limit: 100 });
    assert.equal(more, false);
    return records.map(({ body }) => bodyText(body));
}

await tell({
    async ACCEPTED_says_where_and_when_the_message_is(stage) {
        const { session, bob } = await pair(stage);
        const before = (await session.request('PING')).nowMs;
        const one = await say(session, bob.name, 'one');
        const two = await say(session, one.conv, 'two');
        assert.deepEqual([one.seq, two.seq, one.clientSeq, two.clientSeq], [1, 2, 1, 2]);
        assert.deepEqual([one.conv.length, one.id.length, two.conv], [16, 16, one.conv]);
        assert.equal(one.id[6] >> 4, 7);         // a UUID of version 7
        assert.equal(one.id[8] >> 6, 0b10);      // RFC 9562's variant
        assert.ok(Buffer.compare(one.id, two.id) < 0);
        const at = one.id.readUIntBE(0, 6);
        assert.ok(at >= before && at <= (await session.request('PING')).nowMs);
    },

    async both_talk_in_one_conversation_whoever_began_it(stage) {
        const { session, alice, bob } = await pair(stage);
        const ofBob = await bob.session();
        const [first, second] = [await say(session, bob.name, 'hello'), await say(ofBob, alice.name, 'hello yourself')];
        assert.deepEqual([first.conv, first.seq + 1], [second.conv, second.seq]);
    },

    async two_first_messages_at_once_make_one_conversation(stage) {
        const { session, alice, bob } = await pair(stage);
        const ofBob = await bob.session();
        const both = await Promise.all([say(session, bob.name, 'a'), say(ofBob, alice.name, 'b')]);
        assert.deepEqual(both[0].conv, both[1].conv);
        assert.deepEqual(both.map(({ seq }) => seq).sort(), [1, 2]);
    },

    async a_repeat_gets_the_first_answer_and_makes_no_second_message(stage) {
        const { session, bob } = await pair(stage);
        const first = await send(session, bob.name, 1, 1, 'once');
        for (let i = 0; i < 5; i++) {
            const again = await send(session, bob.name, 1, 1, 'once');
            assert.deepEqual([again.seq, again.id, again.conv], [first.seq, first.id, first.conv]);
        }
        assert.equal((await send(session, bob.name, 2, 1, 'after it')).seq, 2);
        assert.deepEqual(await texts(session, bob.name), ['once', 'after it']);
    },

    async a_repeat_while_the_first_is_under_way_is_one_message(stage) {
        const { session, bob } = await pair(stage);
        const answers = await Promise.all(Array.from({ length: 10 }, () => send(session, bob.name, 1, 1, 'at once')));
        assert.deepEqual(new Set(answers.map(({ seq, id }) => `${seq} ${id.toString('hex')}`)).size, 1);
        assert.deepEqual(await texts(session, bob.name), ['at once']);
    },

    async a_repeat_comes_from_another_session_of_the_device_as_well(stage) {
        const { alice, bob } = await pair(stage);
        const phone = await alice.login();
        const first = await send(await alice.session(phone), bob.name, 7, 7, 'from here');
        const again = await send(await alice.session(phone), bob.name, 7, 7, 'from here');
        assert.deepEqual([again.seq, again.id], [first.seq, first.id]);
    },

    async the_place_of_a_repeat_may_be_named_by_user_or_by_id(stage) {
        const { session, bob } = await pair(stage);
        const first = await send(session, bob.name, 1, 1, 'one place');
        assert.deepEqual((await send(session, first.conv, 1, 1, 'one place')).id, first.id);
    },

    async the_number_alone_names_a_send_whatever_its_bytes_are(stage) {
        const { session, bob } = await pair(stage);
        const first = await send(session, bob.name, 1, 1, 'the first bytes');
        assert.deepEqual((await send(session, bob.name, 1, 1, 'other bytes')).id, first.id);
        assert.deepEqual(await texts(session, bob.name), ['the first bytes']);
    },

    async the_same_number_of_another_device_is_another_send(stage) {
        const { session, alice, bob } = await pair(stage);
        const other = await alice.session();
        const [one, two] = [await send(session, bob.name, 1, 1, 'phone'), await send(other, bob.name, 1, 1, 'laptop')];
        assert.notDeepEqual(one.id, two.id);
        assert.deepEqual(await texts(session, bob.name), ['phone', 'laptop']);
    },

    async a_number_below_settled_is_refused(stage) {
        const { session, bob } = await pair(stage);
        await send(session, bob.name, 1, 1, 'one');
        await send(session, bob.name, 2, 1, 'two');
        await send(session, bob.name, 3, 3, 'three');
        for (const clientSeq of [1, 2]) {
            for (const settled of [1, clientSeq]) {    // a lower `settled` than before takes nothing back
                const refused = send(session, bob.name, clientSeq, settled, 'again');
                await assert.rejects(refused, { name: 'SETTLED', again: false });
            }
        }
        assert.equal((await send(session, bob.name, 3, 3, 'three')).seq, 3);
        assert.deepEqual(await texts(session, bob.name), ['one', 'two', 'three']);
    },

    async a_repeat_may_carry_a_newer_settled(stage) {
        const { session, bob } = await pair(stage);
        await send(session, bob.name, 1, 1, 'one');
        const first = await send(session, bob.name, 2, 1, 'two');
        assert.deepEqual((await send(session, bob.name, 2, 2, 'two')).id, first.id);
        await send(session, bob.name, 3, 2, 'three');
        await assert.rejects(send(session, bob.name, 1, 1, 'one'), { name: 'SETTLED' });
    },

    async settled_is_kept_for_each_conversation(stage) {
        const { session, bob } = await pair(stage);
        const carol = await stage.person('carol');
        await send(session, bob.name, 9, 9, 'to bob');
        assert.equal((await send(session, carol.name, 8, 8, 'to carol')).seq, 1);
        await assert.rejects(send(session, bob.name, 8, 8, 'to bob'), { name: 'SETTLED' });
    },

    async at_most_256_sends_may_be_accepted_and_unsettled(stage) {
        const { session, bob } = await pair(stage);
        const numbers = Array.from({ length: UNSETTLED_MAX }, (_, i) => i + 1);
        await Promise.all(numbers.map(number => send(session, bob.name, number, 1, `${number}`)));
        const oneMore = send(session, bob.name, UNSETTLED_MAX + 1, 1, 'one more');
        await assert.rejects(oneMore, { name: 'TOO_MANY', again: false });
        assert.equal((await send(session, bob.name, 1, 1, '1')).seq, 1);    // a repeat is no more
        assert.equal((await send(session, bob.name, UNSETTLED_MAX + 2, 2, 'with one settled')).seq, UNSETTLED_MAX + 1);
    },

    async sends_under_way_at_once_are_accepted_in_their_order(stage) {
        const { session, bob } = await pair(stage);
        const numbers = Array.from({ length: 100 }, (_, i) => i + 1);
        const answers = await Promise.all(numbers.map(number => send(session, bob.name, number, 1, `${number}`)));
        assert.deepEqual(answers.map(({ seq }) => seq), numbers);
        assert.deepEqual(await texts(session, bob.name), numbers.map(String));
    },

    async more_requests_than_the_server_reads_at_once_are_all_answered(stage) {
        const { session, bob } = await pair(stage);
        await say(session, bob.name, 'one');
        const asked = Array.from({ length: 500 }, (_, i) => (i % 2 ? session.request('INFO', { to: bob.name, seq: 1 })
                                                                   : session.request('PING')));
        assert.equal((await Promise.all(asked)).length, 500);
    },

    async a_send_to_nobody_is_refused_for_good_and_its_number_is_free_of_messages(stage) {
        const { session, bob } = await pair(stage);
        for (const to of ['nobody.at.all', Buffer.alloc(16, 1)]) {
            await assert.rejects(send(session, to, 1, 1, 'hello?'), { name: 'NOT_FOUND', again: false });
        }
        assert.equal((await send(session, bob.name, 2, 2, 'hello')).seq, 1);
        assert.equal(session.ears.rest('MESSAGE').length, 0);
    },

    async a_stranger_cannot_send_into_a_conversation_of_others(stage) {
        const { session, bob } = await pair(stage);
        const { conv } = await say(session, bob.name, 'between us');
        const ofCarol = await (await stage.person('carol')).session();
        await assert.rejects(say(ofCarol, conv, 'me too'), { name: 'NOT_FOUND' });
        assert.deepEqual(await texts(session, conv), ['between us']);
    },

    async bodies_are_kept_to_the_byte(stage) {
        const { session, bob } = await pair(stage);
        const ofBob = await bob.session();
        const bodies = [Buffer.from([0]), Buffer.from([0xc1, 0xff, 0x00, 0xfe]), Buffer.alloc(255, 1),
                        Buffer.alloc(256, 2), Buffer.alloc(16384, 3), textBody('🦜 \u0000 é')];
        for (const [i, body] of bodies.entries()) {
            await session.request('SEND', { to: bob.name, clientSeq: i + 1, settled: 1, body });
            assert.deepEqual((await ofBob.ears.next('MESSAGE')).body, body);
        }
        const { records } = await ofBob.request('HISTORY', { to: session.credentials.user, limit: 100 });
        assert.deepEqual(records.map(({ body }) => body), bodies);
    },
});
