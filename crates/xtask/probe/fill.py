"""Fills a fresh server over its own API and says who can be signed in as what: `fill.py URL CA KEY RULE` prints JSON."""

import datetime
import json
import sys

import requests

URL, AUTHORITY, OPERATOR_KEY, RULE_FILE = sys.argv[1:5]
API = URL + "/api/v1"
PASSWORD = "correct horse battery"
RULE = "5f3f0a9e-2b0c-4b6f-9c55-7d1f64d10a01"
LOCAL_OPERATOR = {"authorization": "Bearer " + OPERATOR_KEY}

http = requests.Session()
http.verify = AUTHORITY
# The environment may name other authorities, which would win.
http.trust_env = False


def post(path, body, headers=None):
    answer = http.post(API + path, json=body, headers=headers or LOCAL_OPERATOR, timeout=60)
    if not answer.ok:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def sign_in(name):
    answer = http.post(API + "/session", json={"name": name, "password": PASSWORD}, timeout=60)
    if not answer.ok:
        raise SystemExit(f"{name} cannot sign in: {answer.status_code} {answer.text}")
    http.cookies.clear()
    return answer.headers["set-cookie"].split(";")[0]


def of(person):
    return {"cookie": person["cookie"], "x-guardian-request": "1"}


people = {}
for role in ("admin", "operator", "viewer"):
    made = [post("/users", {"name": f"{role}-{n}", "role": role, "password": PASSWORD}) for n in (1, 2, 3)]
    people[role] = {"cookie": sign_in(f"{role}-1"), "id": made[0]["id"]}
admin, analyst = of(people["admin"]), of(people["operator"])

next_month = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
expires = next_month.strftime("%Y-%m-%dT%H:%M:%SZ")
hook = {"name": "hook", "kind": "webhook", "events": ["alert"], "url": "https://127.0.0.1:9/"}
lab = {"name": "lab", "verdict": "benign", "reason": "lab", "entity": "10.9.0.0/16"}
with open(RULE_FILE, encoding="utf-8") as file:
    post("/rules", {"source": file.read()})
post("/tenants", {"slug": "acme", "name": "Acme"})
post("/roles", {"name": "desk", "permissions": ["alerts:read", "status:read"]})
post("/invitations", {"role": "viewer"})
post("/api-keys", {"name": "backup", "permissions": ["alerts:read"], "expires": expires}, admin)
post(f"/rules/{RULE}/exceptions", {"filter": "src_ip = 10.0.0.7", "reason": "known"})
post("/hunts", {"name": "ssh", "mode": "filter", "text": "dst_port = 22", "shared": True}, analyst)
post("/views", {"page": "alerts", "name": "mine", "state": {"q": "x"}, "shared": True}, analyst)
post("/suppressions", lab, analyst)
post("/notifications/channels", hook, admin)
post("/incident-templates", {"name": "Scan", "kind": "general", "tasks": [{"title": "Look", "phase": "triage"}]})
for n in range(6):
    path = "/incidents/" + post("/incidents", {"title": f"Case {n}", "severity": "high", "owner": "me"}, analyst)["id"]
    post(path + "/tasks", {"title": "Look at the host"}, analyst)
    post(path + "/comments", {"text": "Seen by @admin-1."}, analyst)
    post(path + "/entities", {"kind": "ip", "value": f"198.51.100.{n + 1}"}, analyst)
    post(path + "/timeline", {"kind": "note", "text": "Begun."}, analyst)
    headers = {**analyst, "content-type": "application/octet-stream"}
    proof = http.post(f"{API}{path}/evidence?name=note.txt", data=b"proof", headers=headers, timeout=60)
    proof.raise_for_status()
print(json.dumps({"people": people}))
