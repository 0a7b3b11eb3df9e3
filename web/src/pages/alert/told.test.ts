import { expect, it } from "vitest";
import { aboutOf, actorOf, classOf, isFlow, programsOf, timeOf } from "./told";

it("says what events of hosts are about", () => {
  const process = { time: "2030-01-01T00:00:00Z", pid: 7, name: "sh", command_line: "sh -c id", user: "eve" };
  expect([classOf(process), aboutOf(process), actorOf(process)]).toEqual(["processes", "sh -c id", "eve"]);
  const file = { path: "/etc/passwd", activity: "modify", expected: false, image: "/usr/bin/vi", user: "root" };
  expect([classOf(file), aboutOf(file), actorOf(file)]).toEqual(["files", "/etc/passwd", "root · /usr/bin/vi"]);
  expect(classOf({ user: "eve", success: false, service: "sshd" })).toBe("logins");
  expect(classOf({ program: "sshd", message: "x" })).toBe("logs");
  expect(classOf({ dst_ip: "192.0.2.1", dst_port: 80, pid: 3 })).toBe("connections");
  expect(timeOf(process)).toBe("2030-01-01T00:00:00Z");
});

it("tells flows, and who held them", () => {
  expect(isFlow({ src_ip: "192.0.2.1", packets: 3 })).toBe(true);
  expect(isFlow({ src_ip: "192.0.2.1", dst_port: 80 })).toBe(false);
  expect(programsOf({ src_process: "/usr/bin/curl" })).toBe("/usr/bin/curl");
  expect(programsOf({ src_process: "curl", dst_process: "nginx" })).toBe("curl → nginx");
  expect(programsOf({ dst_process: "nginx" })).toBe("→ nginx");
  expect(programsOf({})).toBe("");
});
