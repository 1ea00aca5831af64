//! Requests for tests, parsed by the codec as a client would have sent them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fields::{Body, Connection, Hello, Normalization, Request, Response, Timings, Tls, View};
use http1::{Limits, RequestHead, RequestParser, ResponseHead, ResponseParser};
use rules::{Cache, Context, Lists, Phase, Use};

/// A request with all that is known of it.
pub struct Sample {
    head: RequestHead,
    connection: Connection,
    normalize: Normalization,
    body: Option<(Vec<u8>, bool, u64)>,
    response: Option<(ResponseHead, &'static str)>,
}

impl Sample {
    /// A request of that head, with lines that end in `\n`, from 192.0.2.7 in plain text.
    pub fn new(head: &str) -> Self {
        let head = format!("{}\r\n\r\n", head.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n"));
        Self::sent(head.as_bytes())
    }

    /// A request of that head, as it was sent.
    pub fn sent(head: &[u8]) -> Self {
        Self::accepted(head).expect("a whole head that the codec accepts")
    }

    /// A request of what was sent, if the codec accepts it.
    pub fn accepted(head: &[u8]) -> Option<Self> {
        let (head, _) = RequestParser::new(Limits::default()).parse(head).ok()??;
        let connection = Connection {
            client_ip: "192.0.2.7".parse().unwrap(),
            client_port: 49152,
            server_ip: "198.51.100.1".parse().unwrap(),
            server_port: 8443,
            tls: None,
            http2_fingerprint: None,
            scheme_https: false,
        };
        Some(Self { head, connection, normalize: Normalization::Cloudflare, body: None, response: None })
    }

    #[must_use]
    pub fn from(mut self, address: &str) -> Self {
        self.connection.client_ip = address.parse().unwrap();
        self
    }

    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.connection.server_port = port;
        self
    }

    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.connection.scheme_https = true;
        self.connection.http2_fingerprint = Some("1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p".to_owned());
        self.connection.tls = Some(Tls {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            sni: Some("shop.example".to_owned()),
            ja3: Some("cd08e31494f9531f560d64c695473da9".to_owned()),
            ja4: Some("t13d1516h2_8daaf6152771_b186095e22b6".to_owned()),
            hello: Some(Arc::new(Hello::new(508, [7; 32], &[4865, 4866], &[0, 11, 10]))),
        });
        self
    }

    #[must_use]
    pub fn normalized(mut self, normalize: Normalization) -> Self {
        self.normalize = normalize;
        self
    }

    #[must_use]
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.body = Some((body.to_vec(), false, body.len() as u64));
        self
    }

    #[must_use]
    pub fn with_part_of_body(mut self, body: &[u8], size: u64) -> Self {
        self.body = Some((body.to_vec(), true, size));
        self
    }

    #[must_use]
    pub fn answered(self, head: &str, error_type: &'static str) -> Self {
        let head = format!("{}\r\n\r\n", head.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n"));
        self.answered_with(head.as_bytes(), error_type).expect("a whole head that the codec accepts")
    }

    /// The same with a response of what was sent, if the codec accepts it.
    pub fn answered_with(mut self, head: &[u8], error_type: &'static str) -> Option<Self> {
        let (head, _) = ResponseParser::new(Limits::default()).parse(head, b"GET").ok()??;
        self.response = Some((head, error_type));
        Some(self)
    }

    /// The request as the edge hands it to its view.
    pub fn request(&self) -> Request<'_> {
        Request {
            head: &self.head,
            connection: &self.connection,
            zone: "shop",
            ray_id: "9f1c2d3e4a5b6c7d",
            received: received(),
            normalize: self.normalize,
            body: self.body.as_ref().map(|(bytes, truncated, size)| Body {
                bytes,
                text_limit: TEXT_LIMIT,
                truncated: *truncated,
                size: *size,
            }),
        }
    }

    pub fn view(&self) -> View<'_> {
        let mut view = View::new(self.request());
        if let Some((head, error_type)) = &self.response {
            view.set_response(Response {
                status: head.status(),
                headers: head.headers(),
                error_type,
                timings: TIMINGS,
            });
        }
        view
    }
}

/// What the edge inspects of a body if nothing else is said.
const TEXT_LIMIT: usize = 128 * 1024;

const TIMINGS: Timings = Timings { edge: Duration::from_micros(28_900), origin: Duration::from_millis(150) };

fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_484_063_137_857)
}

/// A page view of a browser.
pub fn browser() -> Sample {
    Sample::new(
        "GET /articles/Index.HTML?section=539061&filter=waf&filter=botm&filter=cdn&empty=&q=red+apples%21&flag HTTP/1.1
         Host: Shop.Example:8443
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0
         Accept: application/json
         Accept-Language: fr-CH, fr;q=0.8, en;q=0.9, de;q=0.7, *;q=0.5
         Cookie: session=8521F670; theme=light; a%20b=c; theme=dark
         Referer: https://developer.example.org/docs
         X-Forwarded-For: 203.0.113.195
         X-Forwarded-For: 70.41.3.18
         X-Twice: one
         X-Twice: Two",
    )
}

/// A login form.
pub fn login() -> Sample {
    let body = b"username=admin&password=p%40ss+word&username=root";
    Sample::new(&format!(
        "POST /login HTTP/1.1
         Host: shop.example
         Content-Type: application/x-www-form-urlencoded; charset=utf-8
         Content-Length: {}",
        body.len()
    ))
    .with_body(body)
}

/// A request with nothing but what it must have.
pub fn bare() -> Sample {
    Sample::new("GET / HTTP/1.1\nHost: shop.example").from("2001:db8::7")
}

/// Whether an expression holds for a sample, in the phase of custom rules or, with a response, after it.
pub fn holds(sample: &Sample, expression: &str, lists: &Lists, cache: &Cache) -> bool {
    let phase = if sample.response.is_some() { Phase::LogCustomFields } else { Phase::RequestFirewallCustom };
    let context = Context { phase, used_as: Use::Filter, lists, cache };
    match rules::compile(expression, &context) {
        Ok(compiled) => compiled.matches(&sample.view()),
        Err(error) => panic!("{expression}\n{error}"),
    }
}
