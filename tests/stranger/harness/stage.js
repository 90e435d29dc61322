// stage.js - what a story works with: a server, people with accounts nobody else has, and ears for what they hear.
import { login, register } from '../client/account.js';
import { encodeFrame, encodeRaw, textBody } from '../client/frames.js';
import { Session } from '../client/session.js';
import { PASSWORD, Server } from './server.js';

let people = 0;

// Keeps every frame of a session that has no ref, so that a story can wait for one without missing it.
export class Ears {
    constructor(session) {
        this.session = session;
        this.heard = [];
        this.waiting = [];
        for (const type of ['MESSAGE', 'TOMBSTONE', 'RECEIPT', 'DEVICE_CHANGED', 'SYNCED', 'GOODBYE', 'ERROR']) {
            session.on(type, frame => this.take(frame));
        }
        session.on('end', ({ code }) => {
            this.over = `the session ended with ${code}`;
            for (const { reject } of this.waiting) reject(new Error(this.over));
        });
    }

    take(frame) {
        const at = this.waiting.findIndex(({ fits }) => fits(frame));
        if (at < 0) this.heard.push(frame);
        else this.waiting.splice(at, 1)[0].resolve(frame);
    }

    // The first frame of this type (and for which `when` holds) that was not asked for before, now or when it comes.
    next(type, when = () => true) {
        const fits = frame => frame.type === type && when(frame);
        const at = this.heard.findIndex(fits);
        if (at >= 0) return Promise.resolve(this.heard.splice(at, 1)[0]);
        if (this.over) return Promise.reject(new Error(`${this.over} without ${type}`));
        const heard = new Promise((resolve, reject) => { this.waiting.push({ fits, resolve, reject }); });
        heard.catch(() => {});    // a story that failed meanwhile does not wait any more
        return heard;
    }

    // What has come of this type and was not asked for.
    rest(type) {
        return this.heard.filter(frame => frame.type === type);
    }
}

// Sends a text as the session's next send; everything before it has been answered.
export function say(session, to, text, fields = {}) {
    session.clientSeq += 1;
    return session.request('SEND',
        { to, clientSeq: session.clientSeq, settled: session.clientSeq, body: textBody(text), ...fields });
}

// Asks with a frame whose fields are just these, right or wrong.
export function ask(session, code, ...fields) {
    return session.exchange(ref => encodeRaw([code, ref, ...fields]));
}

// The HELLO of a device, for stories that say it by hand.
export const helloOf = ({ user, device, token }, more = {}) => encodeFrame({
    type: 'HELLO', ref: 5, version: 1, user, device, token: Buffer.from(token, 'hex'), agent: 'by hand', ...more,
});

// A user with an account. Devices are what login() gives; sessions are open and have ears.
class Person {
    constructor(stage, name) {
        Object.assign(this, { stage, name });
    }

    login(deviceName) {
        return login(this.stage.server.url, this.name, PASSWORD, deviceName);
    }

    // A session of a device, of a new one when none is given, that has heard SYNCED.
    async session(credentials) {
        const session = await this.sessionAtWelcome(credentials ?? await this.login());
        await session.ears.next('SYNCED');
        return session;
    }

    async sessionAtWelcome(credentials) {
        const session = new Session(this.stage.server.url, credentials);
        Object.assign(session, { ears: new Ears(session), person: this });
        this.stage.sessions.push(session);
        await session.open();
        session.clientSeq = session.welcome.clientSeqMax;
        return session;
    }
}

export class Stage {
    constructor(server) {
        Object.assign(this, { server, sessions: [], leavings: [] });
    }

    // A person whom no other story knows. The name is not yet anybody's; register() makes the account.
    name(word) {
        people += 1;
        return `${word}.${people}`;
    }

    async person(word) {
        const person = new Person(this, this.name(word));
        await register(this.server.url, person.name, PASSWORD);
        return person;
    }

    // One after the other: the server's queue of passwords is short.
    async people(...words) {
        const all = [];
        for (const word of words) all.push(await this.person(word));
        return all;
    }

    // A stage with a server of other settings, for this story only.
    async elsewhere(settings) {
        const there = new Stage(await Server.start(settings));
        this.onLeave(async () => {
            await there.clear();
            await there.server.stop();
        });
        return there;
    }

    // `leave` is called when the story is over, however it ends.
    onLeave(leave) { this.leavings.push(leave); }

    async clear() {
        await Promise.all(this.sessions.splice(0).map(session => session.close()));
        for (const leave of this.leavings.splice(0)) await leave();
    }
}
