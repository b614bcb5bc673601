use noren::config::{NovaLogin, RfbSecurity, SourceKind};
use noren::{Config, config};

use super::*;

fn imported(text: &str) -> (String, Config) {
    let mut conf = Ini::default();
    conf.read(text);
    let made = translate(&conf, "nova.conf");
    let config =
        Config::parse(&made, "noren.toml").unwrap_or_else(|error| panic!("{error}\n{made}"));
    (made, config)
}

const LOGIN: &str = "[keystone_authtoken]\nauth_url = http://keystone:5000/v3\nusername = nova\npassword = s3cr3t\n\
    project_name = service\nuser_domain_id = default\nproject_domain_name = Default\nregion_name = North\n";

fn nova(config: &Config) -> &config::NovaSource {
    match &config.bridge.tokens.first().expect("a source").kind {
        SourceKind::Nova(nova) => nova,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_cloud_becomes_a_listener_for_each_proxy_and_one_source() {
    let (made, config) = imported(&format!(
        "[vnc]\nnovncproxy_host = 10.0.0.2\nnovncproxy_base_url = http://h:6080/vnc_lite.html?path=novnc\n\
         [serial_console]\nenabled = true\nbase_url = ws://h:6083/serial\nport_range = 10000:10100\n{LOGIN}"
    ));
    let addresses: Vec<_> = config
        .listeners
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(addresses, ["10.0.0.2:6080", "0.0.0.0:6083"]);
    assert_eq!(
        config.bridge.paths,
        ["/", "/websockify", "/novnc", "/serial"]
    );
    assert_eq!(config.bridge.token_cookie.as_deref(), Some("token"));
    let source = config.bridge.tokens.first().expect("a source");
    let allow: Vec<_> = source
        .allow
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    assert_eq!(allow, ["*:5900-6899", "*:10000-10100"]);
    let rfb = source.rfb.as_ref().expect("Nova speaks RFB too");
    assert_eq!(rfb.security.as_deref(), Some(&[RfbSecurity::None][..]));
    assert_eq!(rfb.ports.as_deref(), Some(&[5900..=6899][..]));
    let NovaLogin::Password {
        user, user_domain, ..
    } = &nova(&config).login
    else {
        panic!("{made}");
    };
    assert_eq!(user, "nova");
    assert_eq!(*user_domain, config::Domain::Id("default".to_owned()));
    assert_eq!(nova(&config).region.as_deref(), Some("North"));
    assert_eq!(nova(&config).serial_ports, [10_000..=10_100]);
    assert!(!made.contains("s3cr3t"), "{made}");
    assert!(
        made.contains("# [ ] write password of [keystone_authtoken]"),
        "{made}"
    );
    assert!(
        made.contains("# [ ] stop nova-novncproxy, nova-serialproxy"),
        "{made}"
    );
}

#[test]
fn vencrypt_certificates_and_origins_have_their_places() {
    let (made, config) = imported(&format!(
        "[DEFAULT]\nssl_only = true\ncert = /etc/nova/tls.pem\nkey = /etc/nova/tls.key\n\
         [vnc]\nauth_schemes = vencrypt,none\nvencrypt_client_key = /etc/nova/vnc.key\n\
         vencrypt_client_cert = /etc/nova/vnc.pem\nvencrypt_ca_certs = /etc/nova/vnc-ca.pem\n\
         [console]\nallowed_origins = horizon.example\nssl_minimum_version = tlsv1_3\n\
         [consoleauth]\nenforce_session_timeout = true\n{LOGIN}"
    ));
    let rfb = config
        .bridge
        .tokens
        .first()
        .and_then(|source| source.rfb.clone());
    let rfb = rfb.expect("RFB is spoken");
    assert_eq!(
        rfb.security.as_deref(),
        Some(&[RfbSecurity::X509None, RfbSecurity::None][..])
    );
    let tls = rfb.tls.expect("certificates");
    assert!(tls.any_name && tls.client.is_some());
    assert_eq!(config.bridge.entrance.origins.len(), 3);
    assert!(
        made.contains("frame-ancestors 'self' https://horizon.example http://horizon.example"),
        "{made}"
    );
    assert!(config.bridge.recheck_tokens.is_some());
    let certificate = config.tls.certificates.first().expect("a certificate");
    assert_eq!(certificate.key.display().to_string(), "/etc/nova/tls.key");
}

#[test]
fn spice_has_its_page_and_whatever_cannot_be_carried_over_is_said() {
    let (made, config) = imported(&format!(
        "[DEFAULT]\nrecord = /var/lib/nova/rec/console\n[vnc]\nauth_schemes = vencrypt\n\
         [spice]\nenabled = true\nhtml5proxy_base_url = https://h/spice_auto.html\n\
         [console]\nssl_ciphers = ALL\nssl_minimum_version = tlsv1_1\n{LOGIN}insecure = true\n"
    ));
    assert_eq!(config.files.len(), 2);
    for said in [
        "not carried over: auth_schemes, beside consoles of SPICE",
        "not carried over: ssl_ciphers",
        "not carried over: ssl_minimum_version = tlsv1_1",
        "not carried over: insecure in [keystone_authtoken]",
        "# [ ] noVNC and SPICE's page are served by one door",
        "# [ ] the base URLs have https",
    ] {
        assert!(made.contains(said), "{said}\n{made}");
    }
    let (made, config) = imported(&format!(
        "[vnc]\nenabled = false\n[spice]\nenabled = true\n{LOGIN}"
    ));
    assert_eq!(
        (config.files.len(), config.listeners.len()),
        (1, 1),
        "{made}"
    );
    assert!(
        config
            .bridge
            .tokens
            .iter()
            .all(|source| source.rfb.is_none())
    );
}

#[test]
fn an_application_credential_and_a_section_of_its_own_are_found() {
    let (made, config) = imported(
        "[keystone_authtoken]\nauth_section = door\n[door]\nauth_url = https://k/v3\ncafile = /etc/ca.pem\n\
         application_credential_id = ID\napplication_credential_secret = s3cr3t\n",
    );
    assert!(
        matches!(&nova(&config).login, NovaLogin::ApplicationCredential { id, .. } if id == "ID")
    );
    assert!(nova(&config).ca.is_some());
    assert!(!made.contains("s3cr3t"), "{made}");
}
