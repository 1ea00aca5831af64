//! Real handshakes over in-memory pipes, with certificates made for the occasion.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, UNIX_EPOCH},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_rustls::{TlsConnector, client};

use super::{
    AcceptError, Acceptor, Alpn, CertificateFinding, CertificateProblem, CertificateStore, ClientTls, ClientTlsError,
    KeyFileContent, OriginTls, Prepared, Reloaded, TlsConnection, TlsFacts, ZoneCertificates, provider,
};
use crate::policy::{CertificateFiles, TlsVersion};

/// A certificate authority and a folder for what it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn files(&self, name: &str) -> CertificateFiles {
        let file = |extension: &str| self.path(&format!("{name}.{extension}")).to_str().unwrap().to_owned();
        CertificateFiles { certificate_file: file("crt"), key_file: file("key") }
    }

    /// Issues a certificate for the hosts, in the files of that name.
    fn issue(&self, name: &str, hosts: &[&str]) -> CertificateFiles {
        self.issue_with(name, hosts, |_| {})
    }

    fn issue_with(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateFiles {
        let mut params =
            CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let files = self.files(name);
        write_later(&files.certificate_file, &params.signed_by(&key, &self.issuer).unwrap().pem());
        write_later(&files.key_file, &key.serialize_pem());
        files
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

/// Writes a file that is younger than every one before it. The clock of a file system may stand still for milliseconds, and
/// of two files of one length that are written within one tick the second looks like the first.
fn write_later(file: &str, content: &str) {
    static SECONDS: AtomicU64 = AtomicU64::new(1_700_000_000);
    fs::write(file, content).unwrap();
    let written = UNIX_EPOCH + Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed));
    fs::File::options().append(true).open(file).unwrap().set_modified(written).unwrap();
}

fn zone(name: &str, hosts: &[&str], certificates: &[&CertificateFiles]) -> ZoneCertificates {
    ZoneCertificates {
        name: name.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        is_default: false,
        certificates: certificates.iter().map(|files| (*files).clone()).collect(),
        min_version: TlsVersion::Tls12,
    }
}

fn store_of(zones: Vec<ZoneCertificates>) -> Arc<CertificateStore> {
    let store = Arc::new(CertificateStore::new());
    let prepared = store.prepare(zones);
    assert_eq!(prepared.findings, []);
    store.install(prepared.table);
    store
}

type Client = Result<client::TlsStream<DuplexStream>, io::Error>;
type Server = Result<TlsConnection<DuplexStream>, AcceptError>;

/// A stream that gives one byte per read, as the slowest network could.
#[derive(Debug)]
struct ByteByByte(DuplexStream);

impl AsyncRead for ByteByByte {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn handshake(acceptor: &Acceptor, config: &ClientConfig, name: &str) -> (Client, Server) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = TlsConnector::from(Arc::new(config.clone()));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio::join!(connector.connect(name, near), acceptor.accept(far, b""))
}

/// The leaf that the client was shown.
fn leaf(client: &Client) -> CertificateDer<'static> {
    client.as_ref().unwrap().get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn leaf_in(files: &CertificateFiles) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.certificate_file).unwrap()
}

fn alert(client: Client) -> AlertDescription {
    match *client.unwrap_err().into_inner().unwrap().downcast::<rustls::Error>().unwrap() {
        rustls::Error::AlertReceived(alert) => alert,
        other => panic!("no alert but {other}"),
    }
}

/// Whether a policy with these certificates is refused.
fn has_errors(prepared: &Prepared) -> bool {
    prepared.findings.iter().any(|finding| !finding.problem.is_warning())
}

#[tokio::test]
async fn a_name_gets_the_certificate_of_its_zone() {
    let authority = Authority::new();
    let shop = authority.issue("shop", &["shop.example"]);
    let wild = authority.issue("wild", &["*.shop.example", "a.b.shop.example"]);
    let other = authority.issue("other", &["other.example", "unknown.example"]);
    let mut default = zone("other", &["other.example"], &[&other]);
    default.is_default = true;
    let store =
        store_of(vec![zone("shop", &["shop.example"], &[&shop]), zone("wild", &["*.shop.example"], &[&wild]), default]);
    let acceptor = Acceptor::new(store).unwrap();
    let config = authority.client(&[&TLS13, &TLS12], &["h2", "http/1.1"]);
    let cases = [
        ("shop.example", &shop),
        ("SHOP.Example", &shop),
        ("api.shop.example", &wild),
        ("a.b.shop.example", &wild),
        ("other.example", &other),
        ("unknown.example", &other),
    ];
    for (name, expected) in cases {
        let (client, server) = handshake(&acceptor, &config, name).await;
        assert_eq!(leaf(&client), leaf_in(expected), "{name}");
        let facts = server.unwrap().facts;
        assert_eq!(facts.sni.as_deref(), Some(name.to_ascii_lowercase().as_str()));
    }
}

#[tokio::test]
async fn a_connection_carries_what_the_handshake_told() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();

    let (client, server) =
        handshake(&acceptor, &authority.client(&[&TLS13], &["h2", "http/1.1"]), "shop.example").await;
    let mut server = server.unwrap();
    let TlsFacts { ja3, ja4, hello, .. } = server.facts.clone();
    let expected = TlsFacts {
        version: "TLSv1.3",
        cipher: "AEAD-AES256-GCM-SHA384",
        sni: Some("shop.example".to_owned()),
        is_http2: true,
        ja3: ja3.clone(),
        ja4: ja4.clone(),
        hello,
    };
    assert_eq!(server.facts, expected);
    assert!(ja4.starts_with("t13d") && ja4[8..].starts_with("h2_"), "{ja4}");
    assert_eq!((ja3.len(), ja4.len()), (32, 36));

    // Bytes go both ways once the handshake is done.
    let mut client = client.unwrap();
    client.write_all(b"ping").await.unwrap();
    let mut read = [0; 4];
    server.stream.read_exact(&mut read).await.unwrap();
    server.stream.write_all(&read).await.unwrap();
    server.stream.flush().await.unwrap();
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");

    let (_client, server) = handshake(&acceptor, &authority.client(&[&TLS12], &["http/1.1"]), "shop.example").await;
    let facts = server.unwrap().facts;
    assert_eq!((facts.version, facts.cipher, facts.is_http2), ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", false));
    assert!(facts.ja4.starts_with("t12d") && facts.ja4[8..].starts_with("h1_"), "{}", facts.ja4);
}

#[tokio::test]
async fn a_hello_that_comes_byte_by_byte_or_behind_a_proxy_header_is_the_same_hello() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();
    let config = authority.client(&[&TLS13], &["h2"]);
    let (_client, server) = handshake(&acceptor, &config, "shop.example").await;
    let at_once = server.unwrap().facts.ja4;
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = TlsConnector::from(Arc::new(config.clone()));
    let name = ServerName::try_from("shop.example").unwrap();
    let (client, server) = tokio::join!(connector.connect(name, near), acceptor.accept(ByteByByte(far), b""));
    assert_eq!(server.unwrap().facts.ja4, at_once);
    client.unwrap();

    // What was read of the connection before, as behind a PROXY protocol header, is given back to it.
    let (near, mut far) = tokio::io::duplex(16 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let server = async {
        let mut already_read = vec![0; 100];
        far.read_exact(&mut already_read).await.unwrap();
        acceptor.accept(far, &already_read).await
    };
    let (client, server) = tokio::join!(connector.connect(ServerName::try_from("shop.example").unwrap(), near), server);
    assert_eq!(server.unwrap().facts.ja4, at_once);
    client.unwrap();
}

#[tokio::test]
async fn a_name_that_nobody_serves_is_refused_by_alert() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();
    let (client, server) = handshake(&acceptor, &authority.client(&[&TLS13], &[]), "other.example").await;
    assert!(matches!(server.unwrap_err(), AcceptError::UnknownName(Some(name)) if name == "other.example"));
    assert_eq!(alert(client), AlertDescription::UnrecognisedName);
}

#[tokio::test]
async fn a_client_that_names_no_host_gets_the_default_zone_or_the_only_one() {
    let authority = Authority::new();
    let shop = authority.issue("shop", &["shop.example", "127.0.0.1"]);
    let other = authority.issue("other", &["other.example", "127.0.0.1"]);
    let config = authority.client(&[&TLS13], &[]);
    let zones = || vec![zone("shop", &["shop.example"], &[&shop]), zone("other", &["other.example"], &[&other])];

    let acceptor = Acceptor::new(store_of(vec![zones().remove(0)])).unwrap();
    let (client, server) = handshake(&acceptor, &config, "127.0.0.1").await;
    assert_eq!((leaf(&client), server.unwrap().facts.sni), (leaf_in(&shop), None));

    let acceptor = Acceptor::new(store_of(zones())).unwrap();
    let (client, server) = handshake(&acceptor, &config, "127.0.0.1").await;
    assert!(matches!(server.unwrap_err(), AcceptError::UnknownName(None)));
    assert_eq!(alert(client), AlertDescription::UnrecognisedName);

    let mut with_default = zones();
    with_default[1].is_default = true;
    let acceptor = Acceptor::new(store_of(with_default)).unwrap();
    let (client, _server) = handshake(&acceptor, &config, "127.0.0.1").await;
    assert_eq!(leaf(&client), leaf_in(&other));
}

#[tokio::test]
async fn a_zone_may_have_a_certificate_for_each_of_its_hosts() {
    let authority = Authority::new();
    let (first, second) =
        (authority.issue("first", &["first.example"]), authority.issue("second", &["second.example"]));
    let hosts = ["first.example", "second.example"];
    let acceptor = Acceptor::new(store_of(vec![zone("both", &hosts, &[&first, &second])])).unwrap();
    let config = authority.client(&[&TLS13], &[]);
    for (name, expected) in [("first.example", &first), ("second.example", &second)] {
        let (client, _server) = handshake(&acceptor, &config, name).await;
        assert_eq!(leaf(&client), leaf_in(expected), "{name}");
    }
}

#[tokio::test]
async fn the_oldest_version_is_the_zones_own() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["old.example", "new.example"]);
    let mut new = zone("new", &["new.example"], &[&files]);
    new.min_version = TlsVersion::Tls13;
    let acceptor = Acceptor::new(store_of(vec![zone("old", &["old.example"], &[&files]), new])).unwrap();
    let tls12 = authority.client(&[&TLS12], &[]);
    let (client, server) = handshake(&acceptor, &tls12, "old.example").await;
    assert_eq!((client.is_ok(), server.unwrap().facts.version), (true, "TLSv1.2"));
    let (client, server) = handshake(&acceptor, &tls12, "new.example").await;
    let error = server.unwrap_err();
    assert_eq!(error.name(), "incompatible", "{error}");
    assert_eq!(alert(client), AlertDescription::ProtocolVersion);
    let (client, server) = handshake(&acceptor, &authority.client(&[&TLS13, &TLS12], &[]), "new.example").await;
    assert_eq!((client.is_ok(), server.unwrap().facts.version), (true, "TLSv1.3"));
}

#[tokio::test]
async fn a_client_that_wants_another_protocol_is_told_so() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();
    let (client, server) = handshake(&acceptor, &authority.client(&[&TLS13], &["spdy/3"]), "shop.example").await;
    assert_eq!(server.unwrap_err().name(), "no_application_protocol");
    assert_eq!(alert(client), AlertDescription::NoApplicationProtocol);
    let (_client, server) = handshake(&acceptor, &authority.client(&[&TLS13], &[]), "shop.example").await;
    assert!(!server.unwrap().facts.is_http2, "without ALPN it is HTTP/1.1");
}

#[tokio::test]
async fn a_ticket_of_one_acceptor_is_good_at_another_with_the_same_keys_and_a_new_policy() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let store = || store_of(vec![zone("shop", &["shop.example"], &[&files])]);
    for version in [&TLS13, &TLS12] {
        let keys = rustls::crypto::ring::Ticketer::new().unwrap();
        let first = Acceptor::with_ticket_keys(store(), &keys).unwrap();
        let second = Acceptor::with_ticket_keys(store(), &keys).unwrap();
        let stranger = Acceptor::new(store()).unwrap();
        let mut config = authority.client(&[version], &["h2"]);
        config.resumption = Resumption::in_memory_sessions(8);
        for (acceptor, is_resumed) in [(&first, false), (&second, true), (&stranger, false)] {
            let (client, server) = handshake(acceptor, &config, "shop.example").await;
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            let kind = server.stream.get_ref().1.handshake_kind();
            assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), is_resumed, "{version:?}");
            // In TLS 1.3 tickets follow the handshake; one read takes them in.
            server.stream.write_all(b".").await.unwrap();
            server.stream.flush().await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn tickets_never_allow_early_data() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();
    let mut config = authority.client(&[&TLS13], &["h2"]);
    config.enable_early_data = true;
    for _ in 0..2 {
        let (client, server) = handshake(&acceptor, &config, "shop.example").await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert!(!client.get_ref().1.is_early_data_accepted());
        server.stream.write_all(b".").await.unwrap();
        server.stream.flush().await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    }
}

/// What the acceptor says to bytes, and what it answers. The client leaves when it has sent them.
async fn answer_to(acceptor: &Acceptor, bytes: &[u8]) -> (AcceptError, Vec<u8>) {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let error = acceptor.accept(far, b"").await.unwrap_err();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    (error, answer)
}

#[tokio::test]
async fn what_is_no_hello_is_turned_away_before_any_handshake() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let acceptor = Acceptor::new(store_of(vec![zone("shop", &["shop.example"], &[&files])])).unwrap();
    let alert = |description: u8| vec![21, 3, 3, 0, 2, 2, description];
    // One byte per record, of a ClientHello that announces 32 KiB: the records around them reach the bound first.
    let shredded = [[22, 3, 1, 0, 1, 1], [22, 3, 1, 0, 1, 0], [22, 3, 1, 0, 1, 0x7f]].concat();
    let cases: Vec<(&str, Vec<u8>, &str, Vec<u8>)> = vec![
        ("nothing", Vec::new(), "closed", Vec::new()),
        ("the start of a hello", vec![22, 3, 1, 2, 0, 1, 0], "closed", Vec::new()),
        ("noise", vec![0xff; 100], "not_tls", Vec::new()),
        ("an empty record", vec![22, 3, 1, 0, 0], "malformed", alert(50)),
        ("a ServerHello", vec![22, 3, 3, 0, 4, 2, 0, 0, 0], "malformed", alert(50)),
        ("16 MiB announced", vec![22, 3, 1, 2, 0, 1, 0xff, 0xff, 0xff], "too_large", alert(47)),
        ("a hello in shreds", [shredded, [22, 3, 1, 0, 1, 0].repeat(20_000)].concat(), "too_large", alert(47)),
    ];
    for (what, bytes, reason, expected) in cases {
        let (error, answer) = answer_to(&acceptor, &bytes).await;
        assert_eq!((error.name(), answer), (reason, expected), "{what}: {error}");
    }
    let (error, answer) = answer_to(&acceptor, b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(error.name(), "not_tls");
    assert!(
        head.starts_with("HTTP/1.1 400 ") && head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{answer}"
    );
    assert_eq!(body, "This port speaks HTTPS. Use https:// to reach it.\n");
}

fn problems(findings: &[CertificateFinding]) -> Vec<&CertificateProblem> {
    findings.iter().map(|finding| &finding.problem).collect()
}

#[test]
fn what_is_wrong_with_certificate_files_is_said_with_the_file_and_the_way_out() {
    let authority = Authority::new();
    let good = authority.issue("good", &["shop.example"]);
    let other = authority.issue("other", &["shop.example"]);
    let file = |name: &str, content: &str| {
        fs::write(authority.path(name), content).unwrap();
        authority.path(name).to_str().unwrap().to_owned()
    };
    let missing = authority.path("missing").to_str().unwrap().to_owned();
    let empty = file("empty", "");
    let certificate = fs::read_to_string(&good.certificate_file).unwrap();
    let broken = file("broken", &certificate.replacen("MII", "M!I", 1));
    let no_der = file("no_der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cut = file("cut", &certificate[..certificate.len() - 30]);
    let encrypted =
        file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let no_key = file("no_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let pair = |certificate_file: &str, key_file: &str| CertificateFiles {
        certificate_file: certificate_file.to_owned(),
        key_file: key_file.to_owned(),
    };
    let (crt, key) = (good.certificate_file.as_str(), good.key_file.as_str());
    let folder = authority.folder.path().to_str().unwrap();
    let cases = [
        (pair(&missing, key), vec![missing.as_str(), "no such file", "correct the path"]),
        (pair(crt, &missing), vec![missing.as_str(), "no such file"]),
        (pair(folder, key), vec!["it is a directory"]),
        (pair(&empty, key), vec![empty.as_str(), "no PEM block \"CERTIFICATE\"", "leaf first"]),
        (pair(key, crt), vec![key, "holds a private key and no certificate", "the wrong way round?"]),
        (pair(&broken, key), vec![broken.as_str(), "no base64", "export it again"]),
        (pair(&cut, key), vec![cut.as_str(), "no END line"]),
        (pair(&no_der, key), vec![no_der.as_str(), "is broken"]),
        (pair(crt, &empty), vec![empty.as_str(), "no PEM block \"PRIVATE KEY\""]),
        (pair(crt, crt), vec![crt, "holds a certificate and no private key"]),
        (pair(crt, &encrypted), vec![encrypted.as_str(), "under a passphrase", "openssl pkey -in"]),
        (pair(crt, &no_key), vec![no_key.as_str(), "is broken"]),
        (pair(crt, &other.key_file), vec![crt, other.key_file.as_str(), "does not belong"]),
    ];
    for (files, parts) in cases {
        let prepared = CertificateStore::new().prepare(vec![zone("shop", &["shop.example"], &[&files])]);
        let [finding] = prepared.findings.as_slice() else { panic!("{:?}", prepared.findings) };
        let text = finding.to_string();
        assert!(has_errors(&prepared) && finding.certificate == Some(0), "{text}");
        assert!(text.starts_with("zone \"shop\" certificate 1: "), "{text}");
        for part in parts {
            assert!(text.contains(part), "{text}\nshould contain: {part}");
        }
    }
    let prepared = CertificateStore::new().prepare(vec![zone("shop", &["shop.example"], &[&pair(crt, &encrypted)])]);
    let expected = CertificateProblem::NoKey { file: encrypted.into(), found: KeyFileContent::EncryptedKey };
    assert_eq!(problems(&prepared.findings), [&expected]);
}

#[test]
fn dates_and_names_warn_and_the_certificate_serves_nonetheless() {
    let authority = Authority::new();
    let expired = authority.issue_with("expired", &["shop.example"], |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 29);
    });
    let early =
        authority.issue_with("early", &["early.example"], |params| params.not_before = date_time_ymd(2999, 1, 1));
    let narrow = authority.issue("narrow", &["*.wide.example", "127.0.0.1", "::1"]);
    let hosts = ["wide.example", "api.wide.example", "a.b.wide.example", "*.wide.example", "127.0.0.1", "[::1]"];
    let prepared = CertificateStore::new().prepare(vec![
        zone("expired", &["shop.example"], &[&expired]),
        zone("early", &["early.example"], &[&early]),
        zone("narrow", &hosts, &[&narrow]),
    ]);
    let expected = [
        CertificateProblem::Expired {
            file: PathBuf::from(&expired.certificate_file),
            not_after: "2020-02-29 00:00:00 UTC".to_owned(),
        },
        CertificateProblem::NotYetValid {
            file: PathBuf::from(&early.certificate_file),
            not_before: "2999-01-01 00:00:00 UTC".to_owned(),
        },
        CertificateProblem::HostsNotCovered { hosts: vec!["wide.example".to_owned(), "a.b.wide.example".to_owned()] },
    ];
    assert_eq!(problems(&prepared.findings), expected.iter().collect::<Vec<_>>());
    assert!(!has_errors(&prepared));
    for name in ["shop.example", "early.example", "wide.example"] {
        assert!(prepared.table.find(Some(name)).is_some(), "{name}");
    }
    let text = prepared.findings[2].to_string();
    assert!(
        text.starts_with("zone \"narrow\": no certificate of the zone is valid for \"wide.example\", \"a.b.wide"),
        "{text}"
    );
}

#[test]
fn one_broken_certificate_does_not_keep_the_other_zones_from_being_served() {
    let authority = Authority::new();
    let good = authority.issue("good", &["good.example"]);
    let bad = authority.files("bad");
    let prepared = CertificateStore::new()
        .prepare(vec![zone("bad", &["bad.example"], &[&bad]), zone("good", &["good.example"], &[&good])]);
    assert!(has_errors(&prepared));
    assert!(prepared.table.find(Some("good.example")).is_some());
    assert!(prepared.table.find(Some("bad.example")).is_none());
}

#[test]
fn a_new_policy_reads_only_the_files_that_changed() {
    let authority = Authority::new();
    let files: Vec<_> = (0..5).map(|i| authority.issue(&format!("zone{i}"), &[&format!("zone{i}.example")])).collect();
    let zones = || -> Vec<_> {
        (0..5).map(|i| zone(&format!("zone{i}"), &[&format!("zone{i}.example")], &[&files[i]])).collect()
    };
    let store = CertificateStore::new();
    let first = store.prepare(zones());
    assert_eq!(first.loaded, 5);
    store.install(first.table);
    assert_eq!(store.prepare(zones()).loaded, 0);
    authority.issue("zone3", &["zone3.example"]);
    assert_eq!(store.prepare(zones()).loaded, 1);
    // Zones that share files share the certificate.
    let shared = zone("again", &["zone0.example"], &[&files[0]]);
    let prepared = CertificateStore::new().prepare(vec![zones().remove(0), shared]);
    assert_eq!(prepared.loaded, 1);
}

#[tokio::test]
async fn a_replaced_certificate_is_served_after_a_sweep_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let store = store_of(vec![zone("shop", &["shop.example"], &[&files])]);
    let acceptor = Acceptor::new(Arc::clone(&store)).unwrap();
    let config = authority.client(&[&TLS13], &[]);
    let old = leaf_in(&files);
    assert_eq!(store.reload_changed(), Reloaded::default());

    // A renewal is half written: the certificate is new, the key still old.
    let old_key = fs::read(&files.key_file).unwrap();
    authority.issue("shop", &["shop.example"]);
    let new = leaf_in(&files);
    let new_key = fs::read(&files.key_file).unwrap();
    fs::write(&files.key_file, old_key).unwrap();
    let reloaded = store.reload_changed();
    assert_eq!(reloaded.changed, 0);
    assert!(matches!(problems(&reloaded.findings)[..], [CertificateProblem::KeyMismatch { .. }]), "{reloaded:?}");
    assert_eq!(store.reload_changed(), Reloaded::default(), "the same thing is said once");
    assert_eq!(leaf(&handshake(&acceptor, &config, "shop.example").await.0), old);

    fs::write(&files.key_file, new_key).unwrap();
    assert_eq!(store.reload_changed(), Reloaded { changed: 1, findings: Vec::new() });
    assert_eq!(leaf(&handshake(&acceptor, &config, "shop.example").await.0), new);

    fs::remove_file(&files.certificate_file).unwrap();
    assert_eq!(store.reload_changed().findings.len(), 1);
    assert_eq!(leaf(&handshake(&acceptor, &config, "shop.example").await.0), new);
}

#[test]
fn a_certificate_that_was_missing_at_the_start_is_served_once_it_is_there() {
    let authority = Authority::new();
    let files = authority.files("late");
    let store = CertificateStore::new();
    let prepared = store.prepare(vec![zone("late", &["late.example"], &[&files])]);
    assert!(has_errors(&prepared));
    store.install(prepared.table);
    assert_eq!(store.reload_changed().changed, 0);
    authority.issue("late", &["late.example"]);
    assert_eq!(store.reload_changed(), Reloaded { changed: 1, findings: Vec::new() });
    assert!(store.table().find(Some("late.example")).is_some());
}

/// An origin that completes one handshake with the certificate, and what its client made of it.
async fn connect_to_origin(
    files: &CertificateFiles,
    config: Arc<ClientConfig>,
    name: &str,
) -> Result<Option<Vec<u8>>, String> {
    let chain = vec![leaf_in(files)];
    let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    server.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (client, _server) = tokio::join!(
        TlsConnector::from(config).connect(name, near),
        tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(far),
    );
    client.map(|stream| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_origin_is_verified_by_the_authorities_and_the_name_that_the_zone_says() {
    let authority = Authority::new();
    let files = authority.issue("origin", &["origin.example"]);
    let ca = authority.path("ca.pem");
    let clients = ClientTls::new();
    let verified = |alpn| OriginTls { verify: true, ca_file: Some(ca.as_path()), alpn };

    let config = clients.config(verified(Alpn::Http1)).unwrap();
    assert_eq!(connect_to_origin(&files, Arc::clone(&config), "origin.example").await, Ok(Some(b"http/1.1".to_vec())));
    let error = connect_to_origin(&files, config, "other.example").await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let config = clients.config(verified(Alpn::Http2)).unwrap();
    assert_eq!(connect_to_origin(&files, config, "origin.example").await, Ok(Some(b"h2".to_vec())));

    let stranger = Authority::new();
    let strangers = stranger.issue("origin", &["origin.example"]);
    let config = clients.config(verified(Alpn::Any)).unwrap();
    let error = connect_to_origin(&strangers, config, "origin.example").await.unwrap_err();
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    let config = clients.config(OriginTls { verify: false, ca_file: None, alpn: Alpn::Any }).unwrap();
    connect_to_origin(&strangers, config, "whatever.example").await.unwrap();
}

#[test]
fn origins_that_are_verified_alike_share_a_configuration() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    let clients = ClientTls::new();
    let settings = OriginTls { verify: true, ca_file: Some(ca.as_path()), alpn: Alpn::Http1 };
    let first = clients.config(settings).unwrap();
    assert!(Arc::ptr_eq(&first, &clients.config(settings).unwrap()));
    assert!(!Arc::ptr_eq(&first, &clients.config(OriginTls { alpn: Alpn::Any, ..settings }).unwrap()));
    assert!(!Arc::ptr_eq(&first, &clients.config(OriginTls { verify: false, ..settings }).unwrap()));
    fs::write(&ca, Authority::new().issuer.pem() + "\n").unwrap();
    assert!(!Arc::ptr_eq(&first, &clients.config(settings).unwrap()), "the file was replaced");
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "nothing").unwrap();
    let config =
        |file: &Path| ClientTls::new().config(OriginTls { verify: true, ca_file: Some(file), alpn: Alpn::Any });
    let error = config(&missing).unwrap_err();
    assert!(matches!(&error, ClientTlsError::Unreadable(file, _) if *file == missing));
    assert!(error.to_string().contains("correct the path"), "{error}");
    let error = config(&empty).unwrap_err();
    assert!(matches!(&error, ClientTlsError::NoAuthorities(file) if *file == empty));
    assert!(error.to_string().contains("PEM block \"CERTIFICATE\""), "{error}");
}

#[tokio::test]
async fn a_handshake_that_the_caller_gives_up_on_leaves_nothing_behind() {
    let authority = Authority::new();
    let files = authority.issue("shop", &["shop.example"]);
    let store = store_of(vec![zone("shop", &["shop.example"], &[&files])]);
    let acceptor = Acceptor::new(store).unwrap();
    let (mut near, far) = tokio::io::duplex(1024);
    near.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let late = tokio::time::timeout(Duration::from_millis(1), acceptor.accept(far, b"")).await;
    assert!(late.is_err());
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "the connection was dropped with the future");
}
