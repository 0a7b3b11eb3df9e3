//! Every operation of the OpenAPI document, with every role, without a session, and in and about another tenant. What is
//! expected comes from the table of permissions and from the permission that each operation names in the document
//! (`x-permission`): no operation can be added without one, and none can demand less or more than it says.

use std::collections::{BTreeMap, BTreeSet};

use guardian_kit::clock::{Clock as _, SystemClock};
use guardian_model::Micros;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::{block_on, client_http1};

const PASSWORD: &str = "correct horse battery";
/// An id that nothing has.
const NOTHING: &str = "00000000-0000-7000-8000-000000000000";
/// A role of the tenant's own, with a single permission.
const NARROW: &str = "looks-at-status";

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    permission: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    answers: BTreeSet<String>,
}

/// What the tests know of the API.
struct Api {
    http: Client,
    url: String,
    operator: String,
    document: Value,
}

impl Api {
    async fn new(app: &App) -> Self {
        let (http, url) = (client_http1(app), format!("{}/api/v1", app.url()));
        let document = http.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
        Self { http, url, operator: app.operator_key(), document }
    }

    /// A request of the local operator, who may do everything.
    async fn setup(&self, method: Method, path: &str, tenant: Option<&str>, body: &Value) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.operator);
        if let Some(tenant) = tenant {
            request = request.header("x-guardian-tenant", tenant);
        }
        let response = request.json(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn sign_in(&self, name: &str) -> String {
        let body = json!({"name": name, "password": PASSWORD});
        let response = self.http.post(format!("{}/session", self.url)).json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{name} signs in");
        response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// Follows a reference of the document.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolve(self.document.pointer(&reference[1..]).unwrap()),
            None => schema,
        }
    }

    /// A value that a schema takes, as small as it can be.
    fn example(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(first) = schema[word].as_array().and_then(|all| all.iter().find(|s| s["type"] != "null")) {
                return self.example(first);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let merged = parts.iter().filter_map(|part| self.example(part).as_object().cloned()).flatten();
            return Value::Object(merged.collect());
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
            kind => kind.as_str().unwrap_or("object"),
        };
        match kind {
            "string" if schema["format"] == "uuid" => json!(NOTHING),
            "string" => json!("x"),
            "integer" | "number" => json!(1),
            "boolean" => json!(false),
            "array" => json!([]),
            _ => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let member = |name: &str| (name.to_owned(), self.example(&schema["properties"][name]));
                Value::Object(required.map(member).collect())
            }
        }
    }

    fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            let path = path.strip_prefix("/api/v1").unwrap_or(path);
            for method in ["get", "put", "post", "delete", "patch"] {
                let operation = &item[method];
                if operation.is_null() {
                    continue;
                }
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let required = parameters.filter(|p| p["in"] == "query" && p["required"] == true);
                let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let query = required
                    .map(|p| (p["name"].as_str().unwrap().to_owned(), text(self.example(&p["schema"]))))
                    .collect();
                let content = operation["requestBody"]["content"].get("application/json");
                all.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.to_owned(),
                    permission: operation["x-permission"].as_str().unwrap_or_default().to_owned(),
                    query,
                    body: content.map(|content| self.example(&content["schema"])),
                    answers: operation["responses"].as_object().unwrap().keys().cloned().collect(),
                });
            }
        }
        all
    }

    /// A request for an operation whose path parameters are `ids`, by the path up to them.
    fn request(&self, operation: &Operation, ids: &BTreeMap<&str, String>) -> RequestBuilder {
        let mut path = String::new();
        for part in operation.path.split('/').skip(1) {
            let id = if part.starts_with('{') {
                ids.get(format!("{path}/{part}").as_str()).cloned().unwrap_or_else(|| NOTHING.to_owned())
            } else {
                part.to_owned()
            };
            path = format!("{path}/{id}");
        }
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(operation.method.clone(), url).query(&operation.query);
        if operation.answers.contains("101") {
            request = request
                .header("origin", self.url.strip_suffix("/api/v1").unwrap())
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        }
        match &operation.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// What came of a request: the status, and the short name of the problem if it is one.
async fn outcome(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let problem = response.headers().get("content-type").is_some_and(|t| t == "application/problem+json");
    if !problem {
        return (status, String::new());
    }
    let body: Value = response.json().await.unwrap();
    (status, body["type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned())
}

fn named(operation: &Operation) -> String {
    format!("{} {} ({})", operation.method, operation.path, operation.permission)
}

/// What was found wrong, all of it: one change often breaks several operations.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }

    fn documented(&mut self, operation: &Operation, status: StatusCode, who: &str) {
        let told = operation.answers.contains(status.as_str()) || operation.answers.contains("default");
        self.expect(told, || format!("{} as {who}: {status} is not documented", named(operation)));
        self.expect(!status.is_server_error(), || format!("{} as {who}: {status}", named(operation)));
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// What each role may do, from the API's own table; and a custom role that may do one thing.
async fn roles(api: &Api) -> BTreeMap<String, BTreeSet<String>> {
    let table = api.setup(Method::GET, "/permissions", None, &Value::Null).await;
    let mut roles = BTreeMap::<String, BTreeSet<String>>::new();
    for row in table["items"].as_array().unwrap() {
        for role in row["roles"].as_array().unwrap() {
            let held = roles.entry(role.as_str().unwrap().to_owned()).or_default();
            held.insert(row["name"].as_str().unwrap().to_owned());
        }
    }
    let narrow = json!({"name": NARROW, "permissions": ["status:read"]});
    api.setup(Method::POST, "/roles", None, &narrow).await;
    roles.insert(NARROW.to_owned(), BTreeSet::from(["status:read".to_owned()]));
    for role in roles.keys() {
        let user = json!({"name": format!("{role}-1"), "role": role, "password": PASSWORD});
        api.setup(Method::POST, "/users", None, &user).await;
    }
    // Whoever makes mistakes must not lock the last administrator out of the test.
    let spare = json!({"name": "spare", "role": "admin", "password": PASSWORD});
    api.setup(Method::POST, "/users", None, &spare).await;
    roles
}

#[test]
fn every_operation_asks_for_what_it_says() {
    let app = App::start();
    block_on(async {
        let api = Api::new(&app).await;
        let roles = roles(&api).await;
        let known: BTreeSet<&String> = roles.values().flatten().collect();
        let operations = api.operations();
        assert!(operations.len() > 70, "the document has {} operations", operations.len());
        for operation in &operations {
            let named = named(operation);
            let special = matches!(operation.permission.as_str(), "session" | "public");
            assert!(special || known.contains(&operation.permission), "{named}: `x-permission` names no permission");
        }
        let none = BTreeMap::new();
        let mut faults = Faults::default();
        for operation in operations.iter().filter(|operation| operation.permission != "public") {
            let (status, _) = outcome(api.request(operation, &none)).await;
            let refused = status == StatusCode::UNAUTHORIZED;
            faults.expect(refused, || format!("{} without a session: {status}", named(operation)));
            faults.documented(operation, status, "nobody");
        }
        for (role, held) in &roles {
            let mut cookie = api.sign_in(&format!("{role}-1")).await;
            for operation in &operations {
                let request = api.request(operation, &none).header("x-guardian-request", "1");
                let (status, problem) = outcome(request.header("cookie", &cookie)).await;
                faults.documented(operation, status, role);
                let may = matches!(operation.permission.as_str(), "session" | "public")
                    || held.contains(&operation.permission);
                let refused = status == StatusCode::FORBIDDEN && problem == "forbidden";
                if may {
                    // What is public judges the credential in its body.
                    let public = operation.permission == "public";
                    let signed_in = public || status != StatusCode::UNAUTHORIZED || problem == "bad-credentials";
                    faults.expect(signed_in, || format!("{} as {role}: {status} {problem}", named(operation)));
                    let own = operation.permission == "public" || operation.permission == "session";
                    faults.expect(own || !refused, || format!("{} as {role} was refused", named(operation)));
                } else {
                    faults.expect(refused, || format!("{} as {role}: {status} {problem}", named(operation)));
                }
                if operation.path.starts_with("/session") && operation.method == Method::DELETE {
                    cookie = api.sign_in(&format!("{role}-1")).await;
                }
            }
        }
    });
}

#[test]
fn another_tenant_and_its_objects_do_not_exist() {
    let app = App::start();
    block_on(async {
        let api = Api::new(&app).await;
        let spare = json!({"name": "ada", "role": "admin", "password": PASSWORD});
        api.setup(Method::POST, "/users", None, &spare).await;
        let acme = api.setup(Method::POST, "/tenants", None, &json!({"slug": "acme", "name": "Acme"})).await;
        let acme = acme["id"].as_str().unwrap().to_owned();
        let theirs = Some(acme.as_str());
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        let carl = json!({"name": "carl", "role": "admin", "password": PASSWORD});
        let carl = id(&api.setup(Method::POST, "/users", theirs, &carl).await);
        let role = json!({"name": "acme-desk", "permissions": ["users:read"]});
        api.setup(Method::POST, "/roles", theirs, &role).await;
        let link = id(&api.setup(Method::POST, "/invitations", theirs, &json!({"role": "viewer"})).await);
        let cookie = api.sign_in("carl").await;
        let expires = (SystemClock::new().now() + Micros::DAY).to_string();
        let body = json!({"name": "backup", "permissions": ["alerts:read"], "expires": expires});
        let key = api.http.post(format!("{}/api-keys", api.url)).header("cookie", &cookie).json(&body);
        let key: Value = key.header("x-guardian-request", "1").send().await.unwrap().json().await.unwrap();
        let rule = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/walk-rule.yml")).unwrap();
        api.setup(Method::POST, "/rules", theirs, &json!({"source": rule})).await;
        let group = id(&api.setup(Method::POST, "/host-groups", theirs, &json!({"name": "web"})).await);
        let policy = json!({"name": "base", "document": {}});
        let policy = id(&api.setup(Method::POST, "/policies", theirs, &policy).await);
        let rule = "5f3f0a9e-2b0c-4b6f-9c55-7d1f64d10a01".to_owned();
        let ids = BTreeMap::from([
            ("/users/{id}", carl),
            ("/roles/{name}", "acme-desk".to_owned()),
            ("/invitations/{id}", link),
            ("/api-keys/{id}", id(&key["key"])),
            ("/rules/{id}", rule),
            ("/host-groups/{id}", group),
            ("/policies/{id}", policy),
        ]);
        let ada = api.sign_in("ada").await;
        let operations = api.operations();
        let ask = |operation: &Operation, ids: &BTreeMap<&str, String>| {
            api.request(operation, ids).header("cookie", &ada).header("x-guardian-request", "1")
        };
        // Their objects, asked for in one's own tenant.
        let mut faults = Faults::default();
        let mut met = BTreeSet::new();
        for operation in &operations {
            let Some(prefix) = ids.keys().find(|prefix| operation.path.starts_with(**prefix)) else { continue };
            met.insert(*prefix);
            let (status, problem) = outcome(ask(operation, &ids)).await;
            let hidden = status == StatusCode::NOT_FOUND && problem == "not-found";
            faults.expect(hidden, || format!("{} of another tenant: {status} {problem}", named(operation)));
        }
        assert_eq!(met.len(), ids.len(), "every sort of object is met");
        // Their tenant, asked for by name.
        let special = ["session", "public", "tenants:manage"];
        for operation in operations.iter().filter(|operation| !special.contains(&operation.permission.as_str())) {
            let (status, problem) = outcome(ask(operation, &ids).header("x-guardian-tenant", &acme)).await;
            let hidden = status == StatusCode::NOT_FOUND && problem == "not-found";
            faults.expect(hidden, || format!("{} in another tenant: {status} {problem}", named(operation)));
        }
    });
}
