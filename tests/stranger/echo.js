// echo.js - a bot out of client/: says back whatever text it is sent. The password comes in PIPIT_PASSWORD.
//
//   node tests/stranger/echo.js http://HOST:PORT USER
//
// It makes a new device each time, which is enough for an example; one that stays keeps its credentials and its store.
import { login } from './client/account.js';
import { bodyText } from './client/frames.js';
import { Messenger } from './client/messenger.js';

const [server, user] = process.argv.slice(2);
const bot = new Messenger(server, await login(server, user, process.env.PIPIT_PASSWORD, 'echo'));

bot.on('message', ({ conv, from, body }) => {
    const text = bodyText(body);
    if (from === user || text === null) return;
    bot.read(conv);
    bot.send(conv, text).catch(error => console.error(`not sent: ${error.message}`));
});
bot.once('connected', () => console.log('listening'));
await bot.stay();
