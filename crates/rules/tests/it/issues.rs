//! What authors of broken rules read.

use guardian_rules::{IssueLevel, RuleSet, parse};

/// All issues of parsing and compiling, one a line.
fn issues(yaml: &str) -> String {
    let parsed = parse(yaml);
    let (_, compiled) = RuleSet::compile(parsed.documents);
    parsed.issues.iter().chain(&compiled).map(|i| format!("{i}\n")).collect()
}

/// A rule with this selection line.
fn with(line: &str) -> String {
    issues(&format!(
        "title: t\nid: r1\nlogsource: {{category: firewall}}\ndetection:\n  s:\n    {line}\n  condition: s\n"
    ))
}

#[test]
fn broken_selections() {
    let lines = [
        "dst_prot: 22",
        "dst_port: ssh",
        "dst_port: 70000",
        "dst_port: -1",
        "dst_port|contains: 22",
        "dst_port|containz: 22",
        "src_ip: 10.0.0.0/8",
        "src_ip|cidr: 10.0.0.1/8",
        "src_ip: '10.*.3'",
        "src_ip|contains: '10.'",
        "src_ip: nonsense",
        "protocol: tpc",
        "tcp_flags|bits: SNY",
        "dst_country|re: '('",
        "dst_country|contains|endswith: x",
        "dst_country|expand: '%x%'",
        "dst_country: []",
        "dst_country: {a: b}",
        "bytes|lt: 0",
        "start|gt: yesterday",
        "src_ip|fieldref: bytes",
        "src_ip|fieldref: dst_iq",
        "extra: abc",
    ];
    let told: String = lines.iter().map(|l| format!("{l}\n  {}", with(l))).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn broken_documents() {
    let documents = [
        "title: [",
        "- a\n- b",
        "title: t\ntitle: u",
        "title: t\ndetection:\n\ts: 1",
        "title: t\nid: x",
        "id: x\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: s}",
        "title: t\ndetection: {s: {dst_port: 22}, condition: s}",
        "title: t\nlogsource: {category: process_creation, product: windows}\ndetection: {s: {Image: x}, condition: s}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: selection}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, u: {dst_port: 23}, condition: s}",
        "title: t\nlogsource: {category: firewall}\nlevle: high\ndetection: {s: {dst_port: 22}, condition: s}",
        "title: t\nlogsource: {category: firewall}\nlevel: hihg\ndetection: {s: {dst_port: 22}, condition: s}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: s and not s}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port|gt: 100}, f: {dst_port: [22, 80]}, condition: s and f}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port|gte: 0}, condition: s or not s}",
        "title: t\nlogsource: {category: firewall}\nguardian: {summary: 'from {scr_ip}', entity: scr_ip, alert_window: 1y}\ndetection: {s: {dst_port: 22}, condition: s}",
        "title: t\nlogsource: {category: firewall}\ndetection: {s: &a {dst_port: 22, x: *b}, condition: s}",
    ];
    let told: String = documents.iter().map(|d| format!("{}\n  {}", d.replace('\n', "⏎"), issues(d))).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn broken_correlations() {
    let base =
        "title: b\nname: base\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: s}\n---\n";
    let correlations = [
        "type: event_count, rules: [base], timespan: 5m, condition: {gte: 10}",
        "type: event_cuont, rules: [base], timespan: 5m, condition: {gte: 10}",
        "type: event_count, rules: [bsae], timespan: 5m, condition: {gte: 10}",
        "type: event_count, rules: [base], timespan: 5, condition: {gte: 10}",
        "type: event_count, rules: [base], timespan: 90d, condition: {gte: 10}",
        "type: event_count, rules: [base], timespan: 5m",
        "type: event_count, rules: [base], timespan: 5m, condition: {gte: many}",
        "type: event_count, rules: [base], timespan: 5m, condition: {lt: 5}",
        "type: event_count, rules: [base, base], timespan: 5m, condition: {gte: 10}",
        "type: event_count, rules: [base], group-by: [scr_ip], timespan: 5m, condition: {gte: 10}",
        "type: event_count, rules: [self], timespan: 5m, condition: {gte: 10}",
        "type: value_count, rules: [base], timespan: 5m, condition: {gte: 10}",
        "type: value_sum, rules: [base], timespan: 5m, condition: {gte: 10, field: src_ip}",
        "type: temporal, rules: [base], timespan: 5m",
        "type: temporal, rules: [base], timespan: 5m, condition: base and other",
        "type: event_count, rules: [base], group-by: [who], timespan: 5m, condition: {gte: 1}, aliases: {who: {other: src_ip}}",
    ];
    let told: String = correlations
        .iter()
        .map(|c| format!("{c}\n  {}", issues(&format!("{base}title: c\nid: c1\nname: self\ncorrelation: {{{c}}}\n"))))
        .collect();
    insta::assert_snapshot!(told);
}

#[test]
fn the_rest_of_a_broken_stream_loads() {
    let good = |id: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{category: firewall}}\ndetection: {{s: {{dst_port: 22}}, condition: s}}\n"
        )
    };
    let stream =
        format!("{}---\ntitle: [\n---\n{}---\n# nothing\n%YAML 1.2\n---\n{}", good("one"), good("two"), good("one"));
    let parsed = parse(&stream);
    assert_eq!(parsed.documents.len(), 3);
    assert_eq!(parsed.issues.len(), 1);
    assert_eq!((parsed.issues[0].document, parsed.issues[0].line), (1, 6));
    let (rules, issues) = RuleSet::compile(parsed.documents);
    assert_eq!(rules.rules().len(), 2);
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].level, IssueLevel::Error);
    assert!(issues[0].message.contains("also the id"), "{}", issues[0]);
}

#[test]
fn hostile_documents_are_refused() {
    let deep = format!("title: t\nx: {}{}", "[".repeat(100), "]".repeat(100));
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let long = format!("title: {}", "x".repeat(300 << 10));
    let cyclic = "a: &a [*a]".to_owned();
    for (stream, message) in
        [(deep, "nested deeper"), (laughs, "aliases included"), (long, "at most 256 KiB"), (cyclic, "that holds it")]
    {
        let parsed = parse(&stream);
        assert!(parsed.documents.is_empty());
        assert!(parsed.issues[0].message.contains(message), "{}", parsed.issues[0]);
    }
    assert!(parse(&"x".repeat(17 << 20)).issues[0].message.contains("16 MiB"));
}

#[test]
fn the_hash_is_of_the_content() {
    let hash = |yaml: &str| parse(yaml).documents[0].hash.clone();
    let a = hash("title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: s}\n");
    let b = hash(
        "# a comment\ndetection:\n  condition: 's'\n  s:\n    dst_port: 22\nlogsource:\n  category: firewall\ntitle: \"t\"\n",
    );
    let c = hash("title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 23}, condition: s}\n");
    let d = hash("title: t\nlogsource: {category: firewall}\ndetection: {s: {dst_port: '22'}, condition: s}\n");
    assert_eq!(a, b);
    assert_ne!(a, c);
    assert_ne!(a, d);
}

#[test]
fn what_a_document_says_is_kept() {
    let documents = crate::documents(
        "title: SSH brute force\nid: 4d1b7c0e-0000-4000-8000-000000000001\nname: ssh\nstatus: stable\nlevel: high\ntags: [attack.T1110, attack.credential-access, cve.2024-1]\nlogsource: {product: guardian, service: flow}\ndetection: {s: {dst_port: 22}, condition: s}\nguardian:\n  next_steps: [Look, Block]\n  entity: dst_ip\n  summary: '{src_ip} at {dst_ip}: {count}'\n  alert_window: 2h\n",
    );
    let (rules, issues) = RuleSet::compile(documents);
    assert!(issues.is_empty(), "{issues:?}");
    let rule = &rules.rules()[0];
    assert_eq!(rule.rule_ref.attack, ["t1110", "credential-access"]);
    assert_eq!(rule.rule_ref.severity.as_str(), "high");
    assert_eq!(rule.rule_ref.next_steps, ["Look", "Block"]);
    assert_eq!(rule.class.fields[rule.entity.unwrap()].name, "dst_ip");
    assert_eq!(rule.alert_window, 7_200_000_000);
    assert_eq!(rule.summary(|name| Some(format!("<{name}>"))), "<src_ip> at <dst_ip>: <count>");
    assert!(rule.alerts && !rule.is_correlation());
}
