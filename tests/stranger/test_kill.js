// test_kill.js - the server is killed with -9: what was accepted is there, once, and what was not can be repeated.
import assert from 'node:assert/strict';
import { Messenger } from './client/messenger.js';
import { bodyText } from './client/frames.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

await tell({
    async an_accepted_message_survives_a_kill(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const accepted = await say(await alice.session(), bob.name, 'one two three');

        await stage.server.kill();
        await stage.server.restart();

        const there = await bob.session();
        const page = await there.request('HISTORY', { to: alice.name, limit: 10 });
        assert.deepEqual(page.records.map(record => bodyText(record.body)), ['one two three']);
        assert.deepEqual(page.records[0].id, accepted.id);
    },

    async what_waited_for_a_device_waits_for_it_after_a_kill(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await bob.login();
        const accepted = await say(await alice.session(), bob.name, 'are you there?');

        await stage.server.kill();
        await stage.server.restart();

        const there = await bob.sessionAtWelcome(phone);
        const message = await there.ears.next('MESSAGE');
        assert.deepEqual([message.seq, message.id], [accepted.seq, accepted.id]);
        await there.ears.next('SYNCED');
    },

    async a_messenger_goes_on_after_a_kill_as_if_nothing_had_happened(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [sender, receiver] = [new Messenger(stage.server.url, await alice.login()),
                                    new Messenger(stage.server.url, await bob.login())];
        const heard = [];
        receiver.on('message', message => heard.push(bodyText(message.body)));
        const staying = [sender.stay(), receiver.stay()];
        await sender.send(bob.name, 'before');

        await stage.server.kill();
        const sent = sender.send(bob.name, 'while it is down');
        await stage.server.restart();

        await sent;
        while (heard.length < 2) await new Promise(resolve => { receiver.once('message', resolve); });
        assert.deepEqual(heard, ['before', 'while it is down']);
        await Promise.all([sender.stop(), receiver.stop(), ...staying]);
    },
});
