// link.js - "Links": where a person can be reached.
import net from 'node:net';

const USER = /^[a-z0-9][a-z0-9._-]{1,31}$/;
const HOST_NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const FORMS = [
    { form: /^https:\/\/([^/?#@]+)\/u\/([^/?#]+)$/i, scheme: 'https', port: 443 },
    { form: /^http:\/\/([^/?#@]+)\/u\/([^/?#]+)$/i, scheme: 'http', port: 80 },
    { form: /^pipit:\/\/([^/?#@]+)\/([^/?#]+)$/i, scheme: 'https', port: 443 },
];

// { server: 'https://chat.example:443', user: 'alice' }, or null: what is almost a link is none. Two links are of the
// same server when `server` is the same.
export function parseLink(text) {
    for (const { form, scheme, port } of FORMS) {
        const [, place, user] = form.exec(text) ?? [];
        if (place === undefined) continue;
        const [, bracketed, name, number] = /^(?:\[([^\]]*)\]|([^:]*))(?::([1-9][0-9]{0,4}))?$/.exec(place) ?? [];
        const host = (bracketed ?? name)?.toLowerCase();
        const isHost = bracketed === undefined ? HOST_NAME.test(host ?? '') : net.isIPv6(host) && !host.includes('%');
        if (!isHost || !USER.test(user) || Number(number ?? port) > 65535) return null;
        const address = bracketed === undefined ? host : `[${host}]`;
        return { server: `${scheme}://${address}:${number ?? port}`, user };
    }
    return null;
}
