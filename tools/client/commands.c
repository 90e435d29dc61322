/* commands.c - the table of commands: what each is called, takes, does and says of itself. main.c looks it up; the
 * manual page and the completions are held to what `pipit COMMAND --help` makes of it (tools/man.sh,
 * tests/flow/test_help.c). */
#include "tools/client/commands.h"

const struct command commands[] = {
    { "register", NULL, "USER",
      "Makes an account on the server, and logs this home in when you say so. Where an invite is needed, who runs the\n"
      "server makes one with `pipitctl invite`.",
      "pipit --server wss://chat.example.org register alice --invite 7k2m-9qxd --login",
      TAKES(invite) | TAKES(password_file) | TAKES(login), 1, 1, cmd_register },
    { "login", NULL, "USER",
      "Makes this home a device of the user. A second device needs a --home of its own.",
      "pipit --server wss://chat.example.org login alice",
      TAKES(password_file), 1, 1, cmd_login },
    { "logout", NULL, "",
      "The server forgets this device, and this home is emptied: account, messages, contacts, drafts. What was sent and\n"
      "received stays on the server for other devices. Without a server, or with messages that wait to be sent, nothing\n"
      "happens unless you say --yes.",
      "pipit logout",
      TAKES(yes), 0, 0, cmd_logout },
    { "passwd", NULL, "",
      "Changes the password. Devices stay logged in, unless --log-out-others.",
      "pipit passwd --log-out-others",
      TAKES(password_file) | TAKES(new_password_file) | TAKES(log_out_others), 0, 0, cmd_passwd },
    { "account", "delete", "",
      "Deletes the account on the server, with all its devices, for good; and empties this home. The name stays taken.\n"
      "What others have of your conversations stays with them. `pipit export` first.",
      "pipit export all.jsonl && pipit account delete",
      TAKES(password_file) | TAKES(yes), 0, 0, cmd_account_delete },
    { "export", NULL, "FILE|-",
      "Writes all the server has of you as JSON, one object a line: the account, its devices, then each conversation and\n"
      "its messages, oldest first. The last line has \"export\": \"end\" and the count. FILE is there only once it is whole.",
      "pipit export all.jsonl",
      0, 1, 1, cmd_export },
    { "whoami", NULL, "",
      "The user, device and server of this home, who has its session, and how many messages wait to be sent. Asks nobody.",
      "pipit whoami --json",
      TAKES(json), 0, 0, cmd_whoami },
    { "devices", "list", "",
      "Where you are logged in. `pipit devices` does the same.",
      "pipit devices",
      TAKES(json), 0, 0, cmd_devices_list },
    { "devices", "name", "DEVICE NAME",
      "Gives a device a name for yourself; an empty one takes it away.",
      "pipit devices name 0123456789abcdef \"kitchen laptop\"",
      TAKES(json), 2, 2, cmd_devices_name },
    { "devices", "revoke", "DEVICE",
      "Logs another device out at once, as when a telephone was lost.",
      "pipit devices revoke 0123456789abcdef",
      TAKES(json), 1, 1, cmd_devices_revoke },
    { "chat", NULL, "[WHO]",
      "Talk, on the whole screen: conversations on the left, one of them open, what you type at the bottom. F1 shows the\n"
      "keys, Ctrl-C leaves; what is typed stays as a draft. With --plain, and where there is no terminal, lines come and go\n"
      "instead, with one WHO; Ctrl-D ends. PIPIT_NOTIFY says what happens when a message comes and nobody is looking:\n"
      "bell (the default), desktop (your terminal must know how) or none.",
      "pipit chat\n"
      "pipit chat bob",
      TAKES(plain), 0, 1, cmd_chat },
    { "send", NULL, "WHO [TEXT...]",
      "Sends and prints the message id once the server has it on disk. Without TEXT (or with -) it is read from standard\n"
      "input; a -- before a TEXT that begins with -. After --timeout (30 s) without an answer: exit code 3; the message\n"
      "stays and goes out with the next command. WHO is a contact, a user, or me: notes to yourself.",
      "pipit send bob on my way\n"
      "pipit send me the key is under the stone",
      TAKES(timeout), 1, WORDS_MAX, cmd_send },
    { "listen", NULL, "",
      "Prints what comes, first of all what waited. Ctrl-C ends it with everything said.",
      "pipit listen --json --count 1 --timeout 60",
      TAKES(json) | TAKES(no_read) | TAKES(count) | TAKES(timeout), 0, 0, cmd_listen },
    { "list", NULL, "",
      "The conversations this device knows, newest first (20): how many messages are unread, with whom, and the last one.",
      "pipit list --limit 5",
      TAKES(json) | TAKES(limit), 0, 0, cmd_list },
    { "history", NULL, "WHO",
      "The last messages (20) with WHO, from the server; without it those that this device has, and exit code 3. With\n"
      "--around the last ones before that time and the first ones from then on, half of --limit (100 at most) each.",
      "pipit history bob --limit 100\n"
      "pipit history bob --around \"2026-05-01 12:00\"",
      TAKES(json) | TAKES(limit) | TAKES(before) | TAKES(around), 1, 1, cmd_history },
    { "search", NULL, "TEXT...",
      "Messages on this device that hold TEXT, whatever its case and accents, newest first (100).",
      "pipit search \"blue door\" --with bob",
      TAKES(json) | TAKES(limit) | TAKES(with), 1, WORDS_MAX, cmd_search },
    { "info", NULL, "MESSAGE",
      "When a message was sent, delivered to and read by each member. The server forgets exact times after a month or so,\n"
      "and tells a day before which it was.",
      "pipit info 01a20bfa-23c9-7000-987a-b99035f32f5a",
      TAKES(json), 1, 1, cmd_info },
    { "delete", NULL, "WHO [MESSAGE]",
      "Deletes a message of yours for everyone, by its id or as your --last one there, and prints its id. The server takes\n"
      "it for two days after it was sent, or as its operator chose. With --here any message is gone from lists, history and\n"
      "search of this device, and stays with everybody else; WHO may then be left out.",
      "pipit delete bob --last\n"
      "pipit delete bob 01a20bfa-23c9-7000-987a-b99035f32f5a\n"
      "pipit delete --here 01a20bfa-23c9-7000-987a-b99035f32f5a",
      TAKES(last) | TAKES(here) | TAKES(timeout), 1, 2, cmd_delete },
    { "timer", NULL, "WHO [HOW-LONG]",
      "How long messages with WHO stay before they disappear, for both of you: a number and s, m, h, d or w, one minute to a\n"
      "year, or off. It is for what is sent from then on. Without HOW-LONG: what it is now.",
      "pipit timer bob 7d\n"
      "pipit timer bob off",
      TAKES(json) | TAKES(timeout), 1, 2, cmd_timer },
    { "unread", NULL, "WHO",
      "Marks the conversation as unread on this device, until it is read again.",
      "pipit unread bob",
      0, 1, 1, cmd_unread },
    { "link", NULL, "",
      "Prints a link, and a picture of it for telephones, by which others can add you. It names server and user and holds\n"
      "no secret.",
      "pipit link --plain",
      TAKES(plain), 0, 0, cmd_link },
    { "add", NULL, "LINK",
      "Adds somebody by their link (or their user name) to the contacts of this device; other commands then take the name.",
      "pipit add https://chat.example.org/u/robert --as Bob",
      TAKES(as), 1, 1, cmd_add },
    { "contacts", "list", "",
      "The contacts of this device. `pipit contacts` does the same.",
      "pipit contacts",
      TAKES(json), 0, 0, cmd_contacts_list },
    { "contacts", "rename", "NAME NEW",
      "Calls a contact otherwise.",
      "pipit contacts rename Bob \"Bob from work\"",
      0, 2, 2, cmd_contacts_rename },
    { "contacts", "remove", "NAME",
      "Forgets a contact. Conversation and messages stay.",
      "pipit contacts remove Bob",
      0, 1, 1, cmd_contacts_remove },
    { NULL, NULL, NULL, NULL, NULL, 0, 0, 0, NULL },
};
