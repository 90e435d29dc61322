// test_delete.js - messages that are deleted for everyone, and those that disappear by a timer: what is asked for, what
// everybody hears of it, and what a client does.
import assert from 'node:assert/strict';
import { bodyText } from './client/frames.js';
import { Messenger, newStore } from './client/messenger.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const YEAR_S = 31_536_000;

const timeOf = ({ id }) => id.readUIntBE(0, 6);
const numbersOf = body => Array.from({ length: body.length / 8 }, (_, i) => Number(body.readBigUInt64BE(8 * i)));

function named(session, type, to, fields) {
    session.clientSeq += 1;
    return session.request(type, { to, clientSeq: session.clientSeq, settled: session.clientSeq, ...fields });
}
const erase = (session, to, ...seqs) => named(session, 'DELETE', to, { seqs });
const setTimer = (session, to, expireS) => named(session, 'TIMER', to, { expireS });

// alice and bob with a session each, who have heard what was said.
async function two(stage, ...texts) {
    const [alice, bob] = await stage.people('alice', 'bob');
    const [hers, his] = [await alice.session(), await bob.session()];
    for (const text of texts) {
        await say(hers, bob.name, text);
        await his.ears.next('MESSAGE', ({ body }) => bodyText(body) === text);
    }
    return { alice, bob, hers, his };
}

async function refused(request, name) {
    await assert.rejects(request, { name, again: false });
}

await tell({
    async every_device_hears_what_was_deleted_in_its_place(stage) {
        const { alice, bob, hers, his } = await two(stage, 'one', 'two', 'three');
        const other = await alice.session();
        const { conv, seq, clientSeq, expiryMs } = await erase(hers, bob.name, 1, 3);
        assert.deepEqual([seq, clientSeq, expiryMs ?? null], [4, hers.clientSeq, null]);
        for (const each of [his, other]) {
            const record = await each.ears.next('MESSAGE', ({ kind }) => kind === 4);
            assert.deepEqual(numbersOf(record.body), [1, 3]);
            assert.deepEqual([record.seq, record.from, record.device], [4, alice.name, hers.credentials.device]);
            assert.ok(record.conv.equals(conv));
            assert.equal(record.flags & 1, 0);    // it does not count as unread
            assert.equal(record.counted, 3);      // and what counted counts on
        }
        for (const gone of [1, 3]) {
            await refused(his.request('INFO', { to: alice.name, seq: gone }), 'NOT_FOUND');
        }
        const { records } = await his.request('HISTORY', { to: alice.name, limit: 10 });
        assert.deepEqual(records.filter(({ kind }) => kind === 1).map(({ body }) => bodyText(body)), ['two']);
    },

    async a_repeat_of_a_delete_is_the_same_delete(stage) {
        const { bob, hers } = await two(stage, 'one', 'two');
        const first = await erase(hers, bob.name, 1);
        const again = await hers.request('DELETE',
            { to: bob.name, clientSeq: hers.clientSeq, settled: hers.clientSeq, seqs: [1] });
        assert.deepEqual([again.seq, again.id], [first.seq, first.id]);
        await refused(erase(hers, bob.name, 1), 'NOT_FOUND');    // with another number it is gone already
        assert.equal((await say(hers, bob.name, 'next')).seq, first.seq + 1);
    },

    async only_ones_own_messages_that_are_there_are_deleted_all_or_none(stage) {
        const { alice, bob, hers, his } = await two(stage, 'one', 'two');
        await refused(erase(his, alice.name, 1), 'DENIED');
        await refused(erase(hers, bob.name, 9), 'NOT_FOUND');
        await refused(erase(hers, bob.name, 1, 9), 'NOT_FOUND');
        const { records } = await his.request('HISTORY', { to: alice.name, limit: 10 });
        assert.deepEqual(records.map(({ body }) => bodyText(body)), ['one', 'two']);    // the refused left nothing
        const { seq } = await erase(hers, bob.name, 2);
        await refused(erase(hers, bob.name, seq), 'NOT_FOUND');    // that is no message
        await refused(erase(hers, stage.name('nobody'), 1), 'NOT_FOUND');
    },

    async how_many_may_be_named(stage) {
        const { bob, hers } = await two(stage, 'one');
        await refused(erase(hers, bob.name), 'RANGE');
        await refused(erase(hers, bob.name, 0), 'RANGE');
        await assert.rejects(erase(hers, bob.name, ...Array.from({ length: 101 }, (_, i) => i + 1)), { again: false });
        assert.equal((await erase(hers, bob.name, 1)).seq, 2);
    },

    async it_is_over_when_the_operator_says_so(stage) {
        const strict = await stage.elsewhere({ delete_for_everyone_s: 0 });
        const { bob, hers } = await two(strict, 'one');
        await refused(erase(hers, bob.name, 1), 'DENIED');
    },

    async a_timer_is_told_to_all_and_holds_from_then_on(stage) {
        const { alice, bob, hers, his } = await two(stage, 'before');
        const other = await bob.session();
        const { seq } = await setTimer(his, alice.name, 3600);
        for (const each of [hers, other]) {
            const record = await each.ears.next('MESSAGE', ({ kind }) => kind === 5);
            assert.deepEqual(numbersOf(record.body), [3600]);
            assert.deepEqual([record.seq, record.from, record.flags & 1], [seq, bob.name, 0]);
        }
        const accepted = await say(hers, bob.name, 'an hour');
        assert.equal(accepted.expiryMs, timeOf(accepted) + 3_600_000);
        const heard = await his.ears.next('MESSAGE', ({ body }) => bodyText(body) === 'an hour');
        assert.equal(heard.expiryMs, accepted.expiryMs);
        // what was there stays; a send may want less, not more
        const { records } = await his.request('HISTORY', { to: alice.name, limit: 10 });
        assert.equal(records[0].expiryMs, null);
        const less = await say(hers, bob.name, 'a minute', { expireS: 60 });
        assert.equal(less.expiryMs, timeOf(less) + 60_000);
        const more = await say(hers, bob.name, 'a day', { expireS: 86_400 });
        assert.equal(more.expiryMs, timeOf(more) + 3_600_000);
        await setTimer(hers, bob.name, 0);
        assert.equal((await say(hers, bob.name, 'for good')).expiryMs ?? null, null);
    },

    async a_timer_has_bounds_and_a_repeat_sets_it_once(stage) {
        const { bob, hers } = await two(stage, 'one');
        for (const expireS of [1, 59, YEAR_S + 1]) await refused(setTimer(hers, bob.name, expireS), 'RANGE');
        await refused(setTimer(hers, stage.name('nobody'), 60), 'NOT_FOUND');
        const first = await setTimer(hers, bob.name, 60);
        const again = await hers.request('TIMER',
            { to: bob.name, clientSeq: hers.clientSeq, settled: hers.clientSeq, expireS: 60 });
        assert.deepEqual([again.seq, again.id], [first.seq, first.id]);
        assert.equal((await setTimer(hers, bob.name, YEAR_S)).seq, first.seq + 1);
    },

    async a_timer_makes_the_conversation_if_there_is_none(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [hers, his] = [await alice.session(), await bob.session()];
        assert.equal((await setTimer(hers, bob.name, 60)).seq, 1);
        assert.equal((await his.ears.next('MESSAGE')).kind, 5);
        await refused(erase(his, alice.name, 1), 'NOT_FOUND');
    },

    async what_has_disappeared_is_given_to_nobody(stage) {
        const { alice, bob, hers, his } = await two(stage, 'stays');
        const { seq } = await say(hers, bob.name, 'goes', { expireS: 1 });
        const bodies = async () => (await his.request('HISTORY', { to: alice.name, limit: 10 })).records
            .filter(({ kind }) => kind === 1).map(({ body }) => bodyText(body));
        while ((await bodies()).length > 1);    // asked until its second is over
        assert.deepEqual(await bodies(), ['stays']);
        await refused(his.request('INFO', { to: alice.name, seq }), 'NOT_FOUND');
        const later = await bob.session();
        await later.ears.next('MESSAGE', ({ body }) => bodyText(body) === 'stays');
        assert.deepEqual(later.ears.rest('MESSAGE').filter(({ kind }) => kind === 1), []);
    },

    async a_client_forgets_what_was_deleted_and_what_has_had_its_time(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const hers = await alice.session();
        const phone = new Messenger(stage.server.url, await bob.login(), newStore());
        stage.onLeave(() => phone.stop());
        await phone.connect();
        const heard = count => new Promise(resolve => {
            phone.on('message', () => { if ((count -= 1) === 0) resolve(); });
        });
        let all = heard(3);
        const { conv } = await say(hers, bob.name, 'the secret');
        await say(hers, bob.name, 'for a moment', { expireS: 1 });
        await say(hers, bob.name, 'stays');
        await all;
        all = heard(1);
        await erase(hers, bob.name, 1);
        await all;
        const textOf = seq => bodyText(phone.message(conv, seq)?.body ?? Buffer.alloc(0));
        assert.equal(textOf(1), null);
        assert.equal(textOf(3), 'stays');
        await phone.stop();                  // its own clock says when, connected or not
        while (textOf(2) !== null) await new Promise(resolve => { setImmediate(resolve); });
        assert.equal(phone.stored(phone.conversation(conv)), 4);    // their places are kept
    },

    async a_delete_is_no_last_message_from_which_unread_ones_are_counted(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const hers = await alice.session();
        const phone = new Messenger(stage.server.url, await bob.login(), newStore());
        stage.onLeave(() => phone.stop());
        await phone.connect();
        const rash = await phone.send(alice.name, 'rash');
        const { conv } = await phone.send(alice.name, 'mine');
        let left = 3;
        const all = new Promise(resolve => { phone.on('message', () => { if ((left -= 1) === 0) resolve(); }); });
        await say(hers, bob.name, 'one');
        await say(hers, bob.name, 'two');
        const his = await bob.session();
        await erase(his, alice.name, rash.seq);    // of bob's other device: it comes last, and is from bob
        await all;
        assert.equal(await phone.unread(conv), 2);
    },
});
