//! Signing in by a directory: OpenLDAP's slapd, started by the test with people and groups of its own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guardian_catalog::{Catalog, CatalogConfig, SignInMethod};
use guardian_identity::{
    GroupRole, Identity, IdentityConfig, IdentityError, LdapConfig, Nested, NewAccount, Origin, Permission,
};
use guardian_kit::clock::ManualClock;
use guardian_kit::config::Secret;
use guardian_model::{Micros, Scope};
use ldap3::{LdapConnAsync, Mod};
use tempfile::TempDir;

use crate::{GOOD, HOME, from};

const PEOPLE: &str = r"dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: uid=reader,dc=example,dc=com
objectClass: account
objectClass: simpleSecurityObject
uid: reader
userPassword: reading only

dn: uid=ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Keller
sn: Keller
mail: ann@example.com
userPassword: directory password

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: another password

dn: uid=root,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: root
cn: Not our root
sn: R
userPassword: directory password

dn: cn=soc,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: soc
member: uid=ann,ou=people,dc=example,dc=com
member: uid=root,ou=people,dc=example,dc=com

dn: cn=leads,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: leads
member: cn=soc,ou=groups,dc=example,dc=com
";

/// A running slapd.
struct Slapd {
    child: Child,
    port: u16,
    secure_port: u16,
    dir: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where Debian and others put it, which need not be on the path.
fn program(name: &str) -> String {
    let places = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/openldap", "/usr/libexec"];
    let found = places.iter().map(|place| format!("{place}/{name}")).find(|path| Path::new(path).is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is missing: `cargo xtask test` installs it, or `apt-get install --no-install-recommends slapd`")
    })
}

impl Slapd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        certificates(dir.path());
        std::fs::create_dir(dir.path().join("db")).unwrap();
        let schemas = ["core", "cosine", "inetorgperson"].map(|s| format!("include /etc/ldap/schema/{s}.schema\n"));
        let modules = Path::new("/usr/lib/ldap/back_mdb.so").exists();
        let modules = if modules { "modulepath /usr/lib/ldap\nmoduleload back_mdb\n" } else { "" };
        let config = format!(
            "{}{modules}pidfile {at}/pid\nTLSCertificateFile {at}/server.pem\nTLSCertificateKeyFile {at}/server.key\n\
             database mdb\nsuffix dc=example,dc=com\nrootdn cn=admin,dc=example,dc=com\nrootpw administrating\n\
             directory {at}/db\nmaxsize 10485760\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=uid=reader,dc=example,dc=com read by anonymous auth by * none\n",
            schemas.concat()
        );
        let (file, people) = (dir.path().join("slapd.conf"), dir.path().join("people.ldif"));
        std::fs::write(&file, config).unwrap();
        std::fs::write(&people, PEOPLE).unwrap();
        let added = Command::new(program("slapadd")).arg("-f").arg(&file).arg("-l").arg(&people).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let (port, secure_port) = (free_port(), free_port());
        let child = Command::new(program("slapd"))
            .args(["-h", &format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{secure_port}"), "-d", "0", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let slapd = Self { child, port, secure_port, dir };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", slapd.secure_port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "slapd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        slapd
    }

    fn config(&self) -> LdapConfig {
        let line =
            |group: &str, role: &str| GroupRole { group: group.into(), tenant: "main".into(), role: role.into() };
        LdapConfig {
            url: format!("ldap://127.0.0.1:{}", self.port),
            starttls: true,
            ca: self.dir.path().join("ca.pem"),
            bind_dn: "uid=reader,dc=example,dc=com".into(),
            bind_password: Secret::new("reading only"),
            base: "ou=people,dc=example,dc=com".into(),
            group_base: "ou=groups,dc=example,dc=com".into(),
            roles: vec![line("leads", "admin"), line("CN=SOC,ou=groups,dc=example,dc=com", "operator")],
            ..LdapConfig::default()
        }
    }

    /// Puts somebody into a group or takes them out, as the directory's administrator would.
    async fn member(&self, group: &str, name: &str, put: bool) {
        let (connection, mut ldap) = LdapConnAsync::new(&format!("ldap://127.0.0.1:{}", self.port)).await.unwrap();
        ldap3::drive!(connection);
        ldap.simple_bind("cn=admin,dc=example,dc=com", "administrating").await.unwrap().success().unwrap();
        let who = std::collections::HashSet::from([format!("uid={name},ou=people,dc=example,dc=com")]);
        let attribute = "member".to_owned();
        let change = if put { Mod::Add(attribute, who) } else { Mod::Delete(attribute, who) };
        let dn = format!("cn={group},ou=groups,dc=example,dc=com");
        ldap.modify(&dn, vec![change]).await.unwrap().success().unwrap();
        ldap.unbind().await.unwrap();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An authority, and a certificate of the directory.
fn certificates(dir: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    std::fs::write(dir.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("server.pem"), server.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

struct Site {
    identity: Identity,
    at: Origin,
    _dir: TempDir,
}

impl Site {
    /// An installation with an administrator of its own whose name the directory has, too.
    async fn new(ldap: LdapConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Micros(1_767_225_600_000_000)));
        let catalog = Catalog::connect(&CatalogConfig::default(), dir.path(), clock.clone()).await.unwrap();
        let config = IdentityConfig { ldap, ..IdentityConfig::default() };
        assert_eq!(config.problem(), None);
        let identity = Identity::new(catalog, clock, config, dir.path());
        let operator = identity.local_operator("test").await.unwrap();
        let root = NewAccount {
            name: "root".into(),
            display_name: String::new(),
            email: None,
            password: Some(GOOD.into()),
            role: "admin".into(),
        };
        identity.add_user(&operator, HOME, &root, &Origin::default()).await.unwrap();
        Self { identity, at: from("192.0.2.1"), _dir: dir }
    }

    async fn role(&self, name: &str, password: &str) -> Result<String, IdentityError> {
        let signed_in = self.identity.sign_in(name, password, &self.at).await?;
        Ok(signed_in.principal.role(HOME).unwrap_or_default().to_owned())
    }
}

fn wrong<T>(answer: &Result<T, IdentityError>) -> bool {
    matches!(answer, Err(IdentityError::BadCredentials))
}

#[tokio::test]
async fn people_of_the_directory_sign_in_and_follow_their_groups() {
    let slapd = Slapd::start();
    let site = Site::new(slapd.config()).await;
    let identity = &site.identity;
    let signed_in = identity.sign_in(" Ann ", "directory password", &site.at).await.unwrap();
    assert_eq!(signed_in.session.method, SignInMethod::Ldap);
    assert_eq!(signed_in.principal.role(HOME), Some("operator"));
    let profile = identity.profile(&signed_in.principal).await.unwrap();
    assert_eq!((profile.name.as_str(), profile.display_name.as_str()), ("ann", "Ann Keller"));
    assert_eq!(profile.email.as_deref(), Some("ann@example.com"));
    identity.prove(&signed_in.principal, "directory password", &site.at).await.unwrap();
    assert!(wrong(&identity.prove(&signed_in.principal, "another", &site.at).await));
    let own = identity.change_password(&signed_in.principal, "directory password", "a good new password", &site.at);
    assert!(matches!(own.await, Err(IdentityError::Forbidden(_))), "passwords are changed where they are");
    let tokens = identity.issue_tokens("ann", "directory password", None, &site.at).await.unwrap();
    let bearer = identity.bearer(&tokens.access, &site.at).await.unwrap();
    assert!(bearer.permissions(HOME).contains(Permission::AlertsTriage));

    for (name, password, why) in [
        ("ann", "wrong", "another password"),
        ("ann", "", "directories let the empty password in as anonymous"),
        ("bob", "another password", "no group gives a role"),
        ("eve", "directory password", "nobody"),
        ("*", "directory password", "a name is a name, not a filter"),
        ("ann)(uid=*", "directory password", "as above"),
        ("root", "directory password", "an account of this installation is not the directory's"),
    ] {
        assert!(wrong(&site.role(name, password).await), "{why}");
    }
    assert_eq!(site.role("root", GOOD).await.unwrap(), "admin");
    let (total, scope) = (2, Scope::of(HOME));
    let listed = identity.catalog().scoped(&scope).users().await.unwrap();
    assert_eq!(listed.len(), total, "ann came, and nobody else");

    slapd.member("leads", "ann", true).await;
    assert_eq!(identity.follow_directory().await.unwrap(), 0);
    let promoted = identity.session(&signed_in.token).await.unwrap();
    assert_eq!(promoted.role(HOME), Some("admin"), "an open session follows the groups");
    slapd.member("leads", "ann", false).await;
    slapd.member("soc", "ann", false).await;
    assert_eq!(identity.follow_directory().await.unwrap(), 1, "the last group is gone");
    assert!(identity.session(&signed_in.token).await.is_err(), "and with it the sessions");
    assert!(identity.bearer(&tokens.access, &site.at).await.is_err());
    assert!(wrong(&site.role("ann", "directory password").await));
    assert_eq!(identity.follow_directory().await.unwrap(), 0, "told once");
    slapd.member("soc", "ann", true).await;
    assert_eq!(site.role("ann", "directory password").await.unwrap(), "operator", "they come back with the group");
}

#[tokio::test]
async fn groups_in_groups_count_where_the_operator_wants_it() {
    let slapd = Slapd::start();
    let site = Site::new(LdapConfig { nested_groups: Nested::Walk, ..slapd.config() }).await;
    assert_eq!(site.role("ann", "directory password").await.unwrap(), "admin", "soc is in leads");
}

#[tokio::test]
async fn nothing_is_said_to_a_directory_that_cannot_prove_itself() {
    let slapd = Slapd::start();
    let secure =
        LdapConfig { url: format!("ldaps://127.0.0.1:{}", slapd.secure_port), starttls: false, ..slapd.config() };
    let site = Site::new(secure.clone()).await;
    assert_eq!(site.role("ann", "directory password").await.unwrap(), "operator", "LDAPS");
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    for config in [secure, slapd.config()] {
        let site = Site::new(LdapConfig { ca: other.path().join("ca.pem"), ..config }).await;
        let answer = site.role("ann", "directory password").await;
        assert!(matches!(answer, Err(IdentityError::External(_))), "{answer:?}");
        assert_eq!(site.role("root", GOOD).await.unwrap(), "admin", "our own come in all the same");
        for _ in 0..10 {
            assert!(matches!(site.role("ann", "x").await, Err(IdentityError::External(_))), "nobody is locked out");
        }
    }
}
