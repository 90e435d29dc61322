// tell.js - runs the stories of a program, one after the other, and prints what tests/run.sh counts.
//
// A program hands its stories to tell() as the methods of an object: a method's name is the claim, its body proves it.
// Each gets the stage: a server that all stories of the program share, and fresh people (see stage.js). What a story
// opened is closed behind it.
import { Server } from './server.js';
import { Stage } from './stage.js';

// Last resort, so that a story that waits for what never comes says which one it was.
const STORY_MS_MAX = 120_000;

// Nobody waits for it: a story that failed has left a request behind.
process.on('unhandledRejection', error => {
    console.log(`nobody waited for this: ${error.stack}`);
    process.exitCode = 1;
});

async function within(ms, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('it hangs')), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

export async function tell(stories, settings = {}) {
    const only = process.argv[2];    // node test_x.js CLAIM runs that story alone
    const server = await Server.start(settings);
    let failed = 0;
    for (const [claim, story] of Object.entries(stories)) {
        if (only && only !== claim) continue;
        console.log(`[ RUN      ] ${claim}`);
        const stage = new Stage(server);
        try {
            await within(STORY_MS_MAX, story(stage));
            await within(STORY_MS_MAX, stage.clear());
            console.log(`[       OK ] ${claim}`);
        } catch (error) {
            failed += 1;
            console.log(`${error.stack}\nThe server's last words:\n${server.said.slice(-2000)}`);
            console.log(`[  FAILED  ] ${claim}`);
            await stage.clear().catch(() => {});
            if (!server.isUp) await server.restart();    // it failed between a kill and a start
        }
    }
    await server.stop();
    if (failed) process.exitCode = 1;
}
