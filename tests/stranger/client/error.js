// error.js - what the server answers when it does not do what it was asked, over HTTP and over the WebSocket.

export class PipitError extends Error {
    // name        of the table "Errors"; `text` is for people
    // again       the same request may succeed later
    // waitMs      not sooner than this; null when the server does not say
    // status      the HTTP status, where it came by HTTP
    constructor({ name, text, again, waitMs = null, status = null }) {
        super(`${name}: ${text}`);
        Object.assign(this, { name, text, again, waitMs, status });
    }
}

// The connection ended before the answer came: what was asked may have been done or not.
export class LinkLost extends Error {
    constructor(why = 'the connection ended') {
        super(why);
        this.name = 'LinkLost';
    }
}
