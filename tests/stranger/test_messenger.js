// test_messenger.js - the client as a whole: what its people see, whatever the server and the lines between do.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bodyText, textBody } from './client/frames.js';
import { Messenger, newStore } from './client/messenger.js';
import { PASSWORD } from './harness/server.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

// A messenger that remembers what it has heard.
function messengerOf(stage, credentials, store = newStore()) {
    const messenger = new Messenger(stage.server.url, credentials, store);
    stage.onLeave(() => messenger.stop());
    messenger.texts = [];
    messenger.on('message', ({ body }) => messenger.texts.push(bodyText(body)));
    return messenger;
}

async function connected(...args) {
    const messenger = messengerOf(...args);
    await messenger.connect();
    return messenger;
}

async function hasHeard(messenger, count) {
    while (messenger.texts.length < count) await new Promise(resolve => { messenger.once('message', resolve); });
}

async function hasReceipt(messenger, when) {
    const receipt = () => [...messenger.store.conversations.values()].some(({ cursors }) => when(cursors));
    while (!receipt()) await new Promise(resolve => { messenger.once('receipt', resolve); });
}

await tell({
    async what_is_sent_is_heard_once_and_ticks_come_back(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const sender = await connected(stage, await alice.login());
        const receiver = await connected(stage, await bob.login());
        const { conv, seq } = await sender.send(bob.name, 'hello');
        await hasHeard(receiver, 1);
        await hasReceipt(sender, cursors => cursors.get(bob.name)?.delivered === seq);
        receiver.read(conv);
        await hasReceipt(sender, cursors => cursors.get(bob.name)?.read === seq);
        assert.deepEqual(receiver.texts, ['hello']);
    },

    async a_store_that_was_kept_makes_no_message_new_again(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        const phone = await bob.login();
        const first = await connected(stage, phone);
        first.session.tell = () => {};    // whatever it says to the server is lost
        await say(session, bob.name, 'once');
        await hasHeard(first, 1);
        await first.stop();
        const second = await connected(stage, phone, first.store);
        await say(session, bob.name, 'twice');
        await hasHeard(second, 1);
        assert.deepEqual(second.texts, ['twice']);
        assert.equal([...second.store.conversations.values()][0].messages.size, 2);
    },

    async what_was_not_sent_before_the_end_is_sent_by_who_opens_the_store(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const before = new Messenger(stage.server.url, phone);    // it never connects
        for (const text of ['1', '2', '3']) before.send(bob.name, text);
        await connected(stage, phone, before.store);
        const receiver = await connected(stage, await bob.login());
        await hasHeard(receiver, 3);
        assert.deepEqual(receiver.texts, ['1', '2', '3']);
    },

    async an_own_message_that_comes_back_is_as_good_as_ACCEPTED(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const first = await connected(stage, phone);
        first.session.tell = () => {};    // it acknowledges nothing, so that all comes again, its own send too
        await say(await bob.session(), alice.name, 'one');
        await hasHeard(first, 1);
        await first.send(bob.name, 'two');
        await first.stop();

        // The same device, which has lost its store but for the send, and says nothing: it only listens.
        const store = newStore();
        store.outbox.set(1, { to: bob.name, body: textBody('two') });
        const second = messengerOf(stage, phone, store);
        second.pump = () => {};
        await second.connect();
        await hasHeard(second, 2);
        assert.deepEqual(second.texts, ['one', 'two']);
        assert.equal(store.outbox.size, 0);
    },

    async unread_messages_are_counted_as_the_page_says(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [session, phone] = [await alice.session(), await connected(stage, await bob.login())];
        const { conv } = await say(session, bob.name, '1');
        for (const text of ['2', '3', '4', '5']) await say(session, bob.name, text);
        await hasHeard(phone, 5);
        assert.equal(await phone.unread(conv), 5);

        const laptop = await bob.session();    // another device reads three of them
        laptop.tell('READ', { to: conv, seq: 3 });
        await hasReceipt(phone, cursors => cursors.get(bob.name)?.read === 3);
        assert.equal(await phone.unread(conv), 2);

        await phone.send(conv, 'who answers has seen what came before');
        assert.equal(await phone.unread(conv), 0);
        await say(session, bob.name, '7');
        await hasHeard(phone, 6);
        assert.equal(await phone.unread(conv), 1);
        phone.read(conv);
        assert.equal(await phone.unread(conv), 0);
    },

    async a_message_to_somebody_who_is_not_there_is_refused_and_the_next_one_goes(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const messenger = await connected(stage, await alice.login());
        const [lost, arrived] = [messenger.send('nobody.at.all', 'hello?'), messenger.send(bob.name, 'hello')];
        await assert.rejects(lost, { name: 'NOT_FOUND' });
        assert.equal((await arrived).seq, 1);
        assert.equal(messenger.store.outbox.size, 0);
    },

    async the_echo_bot_answers_before_and_after_a_kill(stage) {
        const [alice, bot] = await stage.people('alice', 'bot');
        const program = fileURLToPath(new URL('echo.js', import.meta.url));
        const child = spawn(process.execPath, [program, stage.server.url, bot.name],
            { env: { ...process.env, PIPIT_PASSWORD: PASSWORD }, stdio: ['ignore', 'pipe', 'inherit'] });
        const gone = new Promise(resolve => { child.on('close', resolve); });
        stage.onLeave(() => { child.kill(); return gone; });
        await new Promise(resolve => { child.stdout.once('data', resolve); });
        const phone = await alice.login();
        const before = await alice.session(phone);
        await say(before, bot.name, 'marco');
        assert.equal(bodyText((await before.ears.next('MESSAGE', ({ from }) => from === bot.name)).body), 'marco');
        await stage.server.kill();
        await stage.server.restart();
        const after = await alice.session(phone);
        await say(after, bot.name, 'polo');
        await after.ears.next('MESSAGE', ({ body }) => bodyText(body) === 'polo');
    },
});
